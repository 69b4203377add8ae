package watch

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	authv1 "latchkey.dev/examples/clients/go/gen/latchkey/auth/v1"
	"latchkey.dev/examples/clients/go/latchkey"
)

const (
	version                    = 1
	maxStalenessMs             = 5_000
	maxStalenessDisconnectedMs = 1_000
	lateAfterMs                = 1_500
	silentAfter                = 2 * time.Second
	noAnswerAfter              = 5 * time.Second
)

var errSilent = errors.New("the server has been silent for too long")

// Follower keeps a View up to date from one of several servers, and asks a server about a token that it cannot decide.
type Follower struct {
	Ready     chan struct{} // closed when the first snapshot is complete
	dial      func(url string) (*grpc.ClientConn, error)
	urls      []string
	key       string
	begin     time.Time
	mutex     sync.RWMutex
	view      View
	cursor    string
	index     int
	failures  int
	isCurrent bool
	lastMs    int64
}

// Follow returns at once. The follower ends with the context.
func Follow(ctx context.Context, dial func(string) (*grpc.ClientConn, error), urls []string, key string, onError func(error)) *Follower {
	f := &Follower{Ready: make(chan struct{}), dial: dial, urls: urls, key: key, begin: time.Now()}
	go func() {
		for ctx.Err() == nil {
			err := f.watchOnce(ctx)
			if err != nil && ctx.Err() == nil {
				onError(err)
			}
			f.mutex.Lock()
			if code := status.Code(err); code == codes.OutOfRange || code == codes.InvalidArgument {
				f.cursor = ""
			}
			f.isCurrent, f.index, f.failures = false, (f.index+1)%len(urls), f.failures+1
			wait := max(pause(f.failures/len(urls)), latchkey.RetryAfter(err))
			f.mutex.Unlock()
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
	}()
	return f
}

// A connection of its own: one that carries nothing is closed with the stream.
func (f *Follower) watchOnce(ctx context.Context) error {
	connection, err := f.dial(f.urls[f.index])
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithCancelCause(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+f.key))
	defer cancel(nil)
	silence := time.AfterFunc(noAnswerAfter, func() { cancel(errSilent) })
	defer silence.Stop()
	f.mutex.Lock()
	f.view.BeginStream(f.cursor == "")
	f.mutex.Unlock()
	stream, err := authv1.NewVerifierServiceClient(connection).Watch(ctx, &authv1.WatchRequest{Cursor: f.cursor, Version: version})
	for err == nil {
		var message *authv1.WatchResponse
		if message, err = stream.Recv(); err == nil && !f.receive(message) {
			err = errors.New("the server is too far behind")
		}
		if f.isCurrent {
			silence.Reset(silentAfter)
		} else {
			silence.Reset(noAnswerAfter)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	if cause := context.Cause(ctx); errors.Is(cause, errSilent) {
		return cause
	}
	return err
}

func (f *Follower) receive(message *authv1.WatchResponse) bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.lastMs = f.now()
	f.view.Receive(message, f.lastMs)
	if message.GetCursor() == "" {
		return true
	}
	f.cursor = message.GetCursor()
	if f.isCurrent { // Only the second message counts as success.
		f.failures = 0
	}
	f.isCurrent = true
	select {
	case <-f.Ready:
	default:
		close(f.Ready)
	}
	return f.lastMs-f.view.confirmedAt <= maxStalenessMs
}

// Verify returns Valid with the subject, the name of a reason, or UNAVAILABLE.
func (f *Follower) Verify(ctx context.Context, token, audience string) (verdict, subject string) {
	f.mutex.RLock()
	now, limit := f.now(), int64(maxStalenessDisconnectedMs)
	if f.isCurrent && now-f.lastMs < lateAfterMs {
		limit = maxStalenessMs
	}
	verdict, claims := f.view.Judge(token, audience, now, limit)
	first := f.index
	f.mutex.RUnlock()
	if verdict == Undecided {
		return f.ask(ctx, first, token, audience)
	}
	if claims != nil {
		subject = claims.Subject
	}
	return verdict, subject
}

func (f *Follower) now() int64 { return time.Since(f.begin).Milliseconds() }
