package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"google.golang.org/protobuf/proto"

	authv1 "latchkey.dev/examples/clients/go/gen/latchkey/auth/v1"
	"latchkey.dev/examples/clients/go/watch"
)

// A line of conformance/verdicts.jsonl.
type verdictCase struct {
	Name, Token, Audience, Verdict string
	Messages                       []struct {
		ArrivesAtMs int64 `json:"arrives_at_ms"`
		Wire        []byte
	}
	ResumesAfter   *int  `json:"resumes_after"`
	VerifyAtMs     int64 `json:"verify_at_ms"`
	MaxStalenessMs int64 `json:"max_staleness_ms"`
}

// conformance prints each failure and the totals.
func conformance(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	passed, failed := 0, 0
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var one verdictCase
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return err
		}
		verdict, err := verdictOf(one)
		if err != nil {
			return fmt.Errorf("%s: %w", one.Name, err)
		}
		if verdict == one.Verdict {
			passed++
			continue
		}
		failed++
		fmt.Printf("%s: expected %s, received %s\n", one.Name, one.Verdict, verdict)
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if lines.Err() == nil && (failed > 0 || passed == 0) {
		return fmt.Errorf("%d verdicts differ", failed)
	}
	return lines.Err()
}

func verdictOf(one verdictCase) (string, error) {
	var view watch.View
	view.BeginStream(true)
	for n, received := range one.Messages {
		if one.ResumesAfter != nil && *one.ResumesAfter == n {
			view.BeginStream(false)
		}
		var message authv1.WatchResponse
		if err := proto.Unmarshal(received.Wire, &message); err != nil {
			return "", err
		}
		view.Receive(&message, received.ArrivesAtMs)
	}
	if one.ResumesAfter != nil && *one.ResumesAfter == len(one.Messages) {
		view.BeginStream(false)
	}
	verdict, _ := view.Judge(one.Token, one.Audience, one.VerifyAtMs, one.MaxStalenessMs)
	return verdict, nil
}
