package pool_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
)

func FuzzOpenRecord(f *testing.F) {
	for _, v := range readVectors(f).Records {
		f.Add(v.raw(f))
		f.Add(v.raw(f)[64:])
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		rec, err := pool.OpenRecord(raw)
		if err != nil {
			if !errors.Is(err, pool.ErrRecord) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		if !bytes.Equal(rec.Raw, raw) || rec.Act == 0 || rec.Hash == (event.Hash{}) {
			t.Fatalf("opened %x as %+v", raw, rec)
		}
		if rec.Act == pool.Genesis {
			if _, err := pool.NewRoster([]pool.Record{rec}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzParseTicket(f *testing.F) {
	v := readVectors(f)
	f.Add(v.Ticket.Text)
	f.Add("mkt1")
	f.Add("mkt2AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		tk, err := pool.ParseTicket(s)
		if err != nil {
			if !errors.Is(err, pool.ErrTicketDamaged) && !errors.Is(err, pool.ErrTicketVersion) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		again, err := pool.ParseTicket(tk.String())
		if err != nil || again.ID() != tk.ID() {
			t.Fatalf("%q reads back as %v, %v", tk.String(), again, err)
		}
	})
}

func FuzzParseClaim(f *testing.F) {
	f.Add(readVectors(f).claim(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := pool.ParseClaim(b)
		if err == nil {
			_, err = pool.ParseClaim(c.Encode())
			if err != nil {
				t.Fatal(err)
			}
		} else if !errors.Is(err, pool.ErrTicketDamaged) {
			t.Fatalf("error of another kind: %v", err)
		}
	})
}
