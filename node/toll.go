package node

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/pb"
	"golang.org/x/time/rate"
)

// toll bounds what this node carries for others as a relay. The relay tells
// it, as a metrics tracer, of each piece that a circuit has carried, and carries
// the circuit's next one when that call returns. Circuits wait in the order in
// which they came, one piece each, so that they share alike what there is.
type toll struct {
	ctx  context.Context // of the service: ends the waiting
	rate *rate.Limiter   // bytes of all circuits together
}

// BytesTransferred waits until n more bytes may be carried.
func (t toll) BytesTransferred(n int) {
	for n > 0 && t.rate.Limit() != rate.Inf {
		piece := min(n, t.rate.Burst())
		if t.rate.WaitN(t.ctx, piece) != nil && t.ctx.Err() != nil {
			return // the service ends; any other error: the limit was changed meanwhile
		}
		n -= piece
	}
}

// The rest of what a relay tells is of no use here.

// RelayStatus does nothing.
func (toll) RelayStatus(bool) {}

// ConnectionOpened does nothing.
func (toll) ConnectionOpened() {}

// ConnectionClosed does nothing.
func (toll) ConnectionClosed(time.Duration) {}

// ConnectionRequestHandled does nothing.
func (toll) ConnectionRequestHandled(pb.Status) {}

// ReservationAllowed does nothing.
func (toll) ReservationAllowed(bool) {}

// ReservationClosed does nothing.
func (toll) ReservationClosed(int) {}

// ReservationRequestHandled does nothing.
func (toll) ReservationRequestHandled(pb.Status) {}
