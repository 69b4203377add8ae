// A client of grpc-go that calls Verify without pause at several addresses in turn. The first line of its input is the
// access token. It prints `{"calls":1,"connections":1,"failures":{}}` each second, and a last time when its input ends.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
)

const (
	verify   = "/latchkey.auth.v1.AuthService/Verify"
	callers  = 8
	pause    = 5 * time.Millisecond
	timeout  = 15 * time.Second
	maxDelay = time.Second
	// The field access_token, of the type string.
	accessTokenTag = 1<<3 | 2
)

// bytesCodec passes messages through.
type bytesCodec struct{}

func (bytesCodec) Marshal(message any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*message.(*[]byte))}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, message any) error {
	*message.(*[]byte) = data.Materialize()
	return nil
}

func (bytesCodec) Name() string { return "proto" }

type counts struct {
	sync.Mutex
	Calls       int            `json:"calls"`
	Connections int            `json:"connections"`
	Failures    map[string]int `json:"failures"`
}

func (c *counts) print() {
	c.Lock()
	defer c.Unlock()
	line, err := json.Marshal(c)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(line))
}

func (c *counts) countConnection() {
	c.Lock()
	defer c.Unlock()
	c.Connections++
}

func (c *counts) countCall(response []byte, err error) {
	c.Lock()
	defer c.Unlock()
	c.Calls++
	if err != nil {
		c.Failures[fmt.Sprintf("%s: %s", status.Code(err), status.Convert(err).Message())]++
	} else if len(response) == 0 {
		c.Failures["an empty response"]++
	}
}

func connect(addresses []string, count *counts) *grpc.ClientConn {
	servers := manual.NewBuilderWithScheme("servers")
	state := resolver.State{}
	for _, address := range addresses {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: address})
	}
	servers.InitialState(state)
	dial := func(ctx context.Context, address string) (net.Conn, error) {
		connection, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			count.countConnection()
		}
		return connection, err
	}
	client, err := grpc.NewClient("servers:///latchkey",
		grpc.WithResolvers(servers),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(dial),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`),
		// gRPC still sends a call again that no server has received.
		grpc.WithDisableRetry(),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: maxDelay / 10, Multiplier: 1.6, MaxDelay: maxDelay}}),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(bytesCodec{})))
	if err != nil {
		log.Fatal(err)
	}
	return client
}

func call(client *grpc.ClientConn, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var response []byte
	err := client.Invoke(ctx, verify, &request, &response)
	return response, err
}

func main() {
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 64*1024)
	if !input.Scan() {
		log.Fatal("the access token is missing")
	}
	token := input.Bytes()
	request := append(binary.AppendUvarint([]byte{accessTokenTag}, uint64(len(token))), token...)

	count := &counts{Failures: map[string]int{}}
	client := connect(os.Args[1:], count)
	isOver := make(chan struct{})
	var running sync.WaitGroup
	for range callers {
		running.Go(func() {
			for {
				select {
				case <-isOver:
					return
				case <-time.After(pause):
					count.countCall(call(client, request))
				}
			}
		})
	}
	go func() {
		for range time.Tick(time.Second) {
			count.print()
		}
	}()
	for input.Scan() {
	}
	close(isOver)
	running.Wait()
	count.print()
}
