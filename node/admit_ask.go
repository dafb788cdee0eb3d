package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/internal/frame"
	"github.com/bwaklog/meerkat/node/internal/pb"
	"github.com/bwaklog/meerkat/pool"
)

// Answer is what a node said to an Ask. Exactly one of the three is set, but
// that with Refused "removed" come the records of the removal.
// Refused is final: asking again, there or elsewhere, does not help, except
// that another member may know a pool that this one calls unknown_pool.
type Answer struct {
	Records []pool.Record
	Pending bool
	Refused *Error

	nonce []byte // Pending: the other's, for the words
}

// Ask asks p to let this node in, by ticket text or, where that is "", by a
// person's approval. name is what this node calls itself. Trouble that may pass
// (nobody answers, p is busy, p may not admit) is an error. The records of an
// answer are verified one by one; what they add up to is for the caller.
func (a *Admission) Ask(ctx context.Context, p peer.ID, ticket, name string) (Answer, error) {
	if ticket == "" {
		return a.AskByHand(ctx, p, name, &Greeting{})
	}
	tk, err := pool.ParseTicket(ticket)
	if err != nil {
		return Answer{}, poolTrouble(err)
	}
	return a.ask(ctx, p, &pb.Ask{Name: name, Claim: tk.Claim(a.self).Encode()})
}

// AskByHand asks p to have a person let this node in. g is kept from one call
// to the next; when one returns with a pending answer, g.Words are those that
// the person sees.
func (a *Admission) AskByHand(ctx context.Context, p peer.ID, name string, g *Greeting) (Answer, error) {
	for turn := 0; ; turn++ {
		commit, nonce := g.offer(a.self)
		answer, err := a.ask(ctx, p, &pb.Ask{Name: name, Commit: commit, Nonce: nonce})
		if err != nil || !answer.Pending || !g.hear(a.self, p, answer.nonce) || turn == 2 {
			return answer, err
		}
	}
}

// AskForAll asks p to let in this node and all members of old, which is to be
// merged, by one ticket. The answer is that of Ask: all are in, or it says why
// not; those of an earlier call stay in.
func (a *Admission) AskForAll(ctx context.Context, p peer.ID, tk pool.Ticket, old *pool.Roster) (Answer, error) {
	var guests []*pb.Guest
	me := ""
	for _, m := range old.Members() {
		if m.ID == a.self {
			me = m.Name
			continue
		}
		guests = append(guests, &pb.Guest{Claim: tk.Claim(m.ID).Encode(), Name: m.Name, Role: uint32(m.Role)})
	}
	id := old.ID()
	for {
		part := guests[:min(len(guests), maxGuests)]
		guests = guests[len(part):]
		ask := &pb.Ask{Claim: tk.Claim(a.self).Encode(), Name: me, Guests: part, Merging: id[:]}
		answer, err := a.ask(ctx, p, ask)
		if err != nil || answer.Refused != nil || len(guests) == 0 {
			return answer, err
		}
	}
}

// AskAgain asks a member for the roster of a pool that this node belongs to
// and has lost the state of.
func (a *Admission) AskAgain(ctx context.Context, p peer.ID, id event.PoolID) (Answer, error) {
	return a.ask(ctx, p, &pb.Ask{Pool: id[:]})
}

func (a *Admission) ask(ctx context.Context, p peer.ID, ask *pb.Ask) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, admitWait)
	defer cancel()
	s, err := a.conf.Host.NewStream(network.WithAllowLimitedConn(ctx, "join"), p, protocolJoin)
	if err != nil {
		return Answer{}, trouble("unreachable", firstLine(err), "cannot ask %s", p)
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() }) // unblocks what follows
	defer stop()
	out, err := askOn(s, ask)
	if err != nil {
		_ = s.Reset() // err says why
		return Answer{}, err
	}
	_ = s.Close() // all has been said
	return out, nil
}

func askOn(s network.Stream, ask *pb.Ask) (Answer, error) {
	b, err := proto.Marshal(ask)
	if err != nil {
		return Answer{}, fmt.Errorf("encode the request: %w", err)
	}
	if err := errors.Join(frame.Write(s, b), s.CloseWrite()); err != nil {
		return Answer{}, fmt.Errorf("ask to join: %w", err)
	}
	return readAnswer(bufio.NewReader(s))
}

// readAnswer takes in a whole answer, within limits.
func readAnswer(r *bufio.Reader) (Answer, error) {
	var out Answer
	var buf []byte
	for total := 0; ; {
		b, err := frame.Read(r, maxAnswer, buf)
		if err != nil {
			return Answer{}, fmt.Errorf("answer to a join: %w", err)
		}
		buf = b
		var m pb.Answer
		if err := proto.Unmarshal(b, &m); err != nil {
			return Answer{}, fmt.Errorf("answer to a join: %w", err)
		}
		for _, raw := range m.Records {
			rec, err := pool.OpenRecord(raw)
			if err != nil {
				return Answer{}, fmt.Errorf("answer to a join: %w", err)
			}
			out.Records = append(out.Records, rec)
			total += len(raw)
		}
		if total > maxRoster || len(out.Records) > pool.MaxRecords {
			return Answer{}, errors.New("answer to a join: the roster is too large")
		}
		if !m.More {
			return verdict(&m, out.Records)
		}
		if len(m.Records) == 0 {
			return Answer{}, errors.New("answer to a join: an empty part")
		}
	}
}

// passing are refusals that may pass, or that are of one node alone.
var passing = map[string]bool{"busy": true, "not_admin": true}

// verdict is what an answer comes to. A removed node gets the records of that.
func verdict(m *pb.Answer, recs []pool.Record) (Answer, error) {
	switch m.Verdict {
	case pb.Answer_ADMITTED:
		return Answer{Records: recs}, nil
	case pb.Answer_PENDING:
		return Answer{Pending: true, nonce: m.Nonce}, nil
	case pb.Answer_REFUSED:
		e := refusal(m.Code)
		if passing[e.Code] {
			return Answer{}, e
		}
		return Answer{Refused: e, Records: recs}, nil
	}
	return Answer{}, errors.New("answer to a join: of an unknown kind")
}

// refusal tells a code that came from another node; one that is not known is
// shown as no more than that, since it is that node's text.
func refusal(code string) *Error {
	text, ok := refusals[code]
	if !ok {
		return trouble("denied", nil, "the other side refused, for a reason unknown here")
	}
	return trouble(code, nil, "%s", text)
}
