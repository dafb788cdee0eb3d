//go:build !testclock

package event

import "time"

// wall is the machine's clock.
func wall() time.Time { return time.Now() }
