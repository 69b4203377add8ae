package watch

import (
	"math/rand/v2"
	"time"
)

// The pause grows once every server has failed.
func pause(rounds int) time.Duration {
	if rounds == 0 {
		return rand.N(50 * time.Millisecond)
	}
	delay := min(100*time.Millisecond<<min(rounds-1, 10), 5*time.Second)
	return delay/2 + rand.N(delay)
}
