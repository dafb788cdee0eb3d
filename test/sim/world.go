package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"syscall"
	"testing/synctest"
	"time"

	"github.com/bwaklog/meerkat/node"
)

// World is a set of machines on one network, with a pool.
type World struct {
	plan     Plan
	dice     *rand.Rand
	net      *Network
	machines []*Machine
	in       map[*Machine]bool // those that joined
	out      map[*Machine]bool // those that were taken out once
	model    *Model
	person   *Person
	more     *rand.Rand // decides about what Faults.Disks adds, so that all else stays as it is without
	folk     *rand.Rand // likewise of Faults.People
	ticket   string
	began    time.Time
}

const (
	admission = 2 * time.Minute
	patience  = 30 * time.Minute // for the folders to become equal after all is healed
	calm      = 3 * time.Minute  // so long they must then stay equal
	look      = 5 * time.Second
)

// Live plays the plan's history in the bubble that it is called in, below the directory base. Its error says what was
// wrong; no node runs any more when it returns.
func Live(p Plan, base string) error {
	w := newWorld(p, base)
	err := w.live()
	return errors.Join(err, w.end())
}

func newWorld(p Plan, base string) *World {
	dice := func(n uint64) *rand.Rand { return rand.New(rand.NewPCG(p.Seed, n)) }
	w := &World{plan: p, dice: dice(0), net: NewNetwork(dice(1)), in: map[*Machine]bool{}, out: map[*Machine]bool{}, model: NewModel(), began: time.Now()}
	w.person = NewPerson(dice(2), w.model)
	w.more, w.folk = dice(3), dice(4)
	w.person.Say = w.say
	for i := range p.Machines {
		w.machines = append(w.machines, NewMachine(i, base, w.net, p.Log))
	}
	for _, m := range w.machines {
		if p.Faults.Early {
			m.burial = node.Burial{Keep: time.Minute, Lapse: 2 * time.Minute, Every: 5 * time.Second}
		}
		for _, o := range w.machines {
			if o != m {
				m.peers = append(m.peers, o.listens())
			}
		}
	}
	return w
}

func (w *World) say(format string, args ...any) {
	w.plan.Say("%9.3f "+format, append([]any{time.Since(w.began).Seconds()}, args...)...)
}

func (w *World) live() error {
	if err := w.found(); err != nil {
		return err
	}
	for range w.plan.Steps {
		if err := w.step(); err != nil {
			return err
		}
	}
	if err := w.heal(); err != nil {
		return err
	}
	return w.judge()
}

// found starts all machines, makes the pool on the first, and lets the others in, or some of them.
func (w *World) found() error {
	for _, m := range w.machines {
		if err := errors.Join(os.MkdirAll(m.Dir, 0o755), m.Start()); err != nil {
			return err
		}
	}
	first := w.machines[0]
	ctx, cancel := context.WithTimeout(context.Background(), admission)
	defer cancel()
	if _, err := first.Node().Init(ctx, first.Dir, "pool"); err != nil {
		return err
	}
	w.in[first] = true
	tk, err := first.Node().Invite(ctx, node.InviteRequest{Role: "writer", Expires: 1000 * time.Hour, Uses: 100})
	if err != nil {
		return err
	}
	w.ticket = tk.Ticket
	for i, m := range w.machines[1:] {
		if w.plan.Faults.Late && i > 0 && w.chance(50) {
			continue
		}
		if err := w.join(ctx, m); err != nil {
			return err
		}
	}
	if w.plan.Faults.People {
		return first.Node().PeerRole(ctx, "", w.machines[1].Name, "admin")
	}
	return nil
}

// join lets m into the pool, which must be on; where nobody answers in time, m goes on asking.
func (w *World) join(ctx context.Context, m *Machine) error {
	w.say("%s joins", m.Name)
	req := node.JoinRequest{Ticket: w.ticket, Dir: m.Dir, Name: m.Name}
	twice := make(chan error, 1)
	if w.chance(20) {
		go func() { _, err := m.Node().Join(ctx, req); twice <- err }()
	} else {
		close(twice)
	}
	_, err := m.Node().Join(ctx, req)
	w.in[m] = true
	return errors.Join(joinTrouble(err), joinTrouble(<-twice))
}

// joinTrouble drops the errors of joins that were cut off, and of those asked for twice.
func joinTrouble(err error) error {
	if e, ok := errors.AsType[*node.Error](err); ok && (e.Code == "join_pending" || e.Code == "already_member" || e.Code == "folder_taken") {
		return nil
	}
	return err
}

func (w *World) chance(percent int) bool { return w.dice.IntN(100) < percent }

func (w *World) anyone() *Machine { return w.machines[w.dice.IntN(len(w.machines))] }

// step lets one thing happen, and some time pass.
func (w *World) step() error {
	var err error
	m := w.anyone()
	f := w.plan.Faults
	switch n := w.dice.IntN(100); {
	case n < 60:
		synctest.Wait() // no node is at work
		for range 1 + w.dice.IntN(3) {
			err = errors.Join(err, w.person.Edit(m, false))
		}
	case n < 70:
		w.scan(m)
	case n < 80 && f.Network:
		w.weather()
	case n < 86 && f.Stops:
		err = w.toggle(m)
	case n < 92 && f.Crashes:
		err = w.crash(m)
	case n < 97 && f.Midway && m.On():
		w.midway(m)
	default:
		err = w.late(m)
	}
	if f.Disks {
		err = errors.Join(err, w.disks(w.machines[w.more.IntN(len(w.machines))]))
	}
	if f.People {
		err = errors.Join(err, w.people())
	}
	if err != nil {
		return err
	}
	if w.chance(70) {
		time.Sleep(time.Duration(w.dice.Int64N(int64(15 * time.Second))))
	}
	return nil
}

// scan tells m to look at its folder, and waits a while for that.
func (w *World) scan(m *Machine) {
	if !m.On() || !w.in[m] {
		return
	}
	w.say("%s scans", m.Name)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = m.Node().Scan(ctx, "", "") // it may be waiting for a member
}

// weather changes the network.
func (w *World) weather() {
	w.net.Heal()
	a, b := w.anyone(), w.anyone()
	cut := Quality{Cut: true}
	switch w.dice.IntN(6) {
	case 0, 1:
		w.part()
	case 2:
		w.say("%s and %s are cut", a.Name, b.Name)
		w.net.Path(a.Addr, b.Addr, cut)
		w.net.Path(b.Addr, a.Addr, cut)
	case 3:
		w.say("%s does not reach %s", a.Name, b.Name)
		w.net.Path(a.Addr, b.Addr, cut)
	case 4:
		q := Quality{
			Delay: time.Duration(w.dice.IntN(300)) * time.Millisecond, Jitter: time.Duration(w.dice.IntN(100)) * time.Millisecond,
			Loss: w.dice.Float64() * 0.2, Twice: w.dice.Float64() * 0.1,
		}
		w.say("the network is %+v", q)
		w.net.Usual(q)
	default:
		w.say("the network is well")
	}
}

// part cuts the machines into two groups.
func (w *World) part() {
	var left, right []*Machine
	for _, m := range w.machines {
		if w.chance(50) {
			left = append(left, m)
		} else {
			right = append(right, m)
		}
	}
	w.say("%v and %v are apart", left, right)
	for _, a := range left {
		for _, b := range right {
			w.net.Path(a.Addr, b.Addr, Quality{Cut: true})
			w.net.Path(b.Addr, a.Addr, Quality{Cut: true})
		}
	}
}

func (w *World) toggle(m *Machine) error {
	if m.On() {
		w.say("%s stops", m.Name)
		return m.Stop()
	}
	w.say("%s starts", m.Name)
	return m.Start()
}

// crash takes m's power away, now or in the middle of one of the next changes that it makes; it may stay off.
func (w *World) crash(m *Machine) error {
	if !m.On() {
		return w.toggle(m)
	}
	dice := rand.New(rand.NewPCG(w.dice.Uint64(), 0))
	if w.chance(60) {
		n := 1 + w.dice.IntN(30)
		w.say("%s will crash at change %d", m.Name, n)
		m.CrashIn(n, dice)
		time.Sleep(time.Duration(w.dice.Int64N(int64(40 * time.Second))))
	}
	w.say("%s crashes", m.Name)
	if err := m.Crash(dice); err != nil {
		return err
	}
	if w.plan.Faults.Losses && m != w.machines[0] && w.chance(15) {
		w.say("%s has lost its state", m.Name)
		m.Forget()
		w.person.Forgotten(m)
	}
	if w.chance(40) {
		return nil
	}
	time.Sleep(time.Duration(w.dice.Int64N(int64(10 * time.Second))))
	w.say("%s starts", m.Name)
	return m.Start()
}

// disks lets m's disks misbehave, now and then.
func (w *World) disks(m *Machine) error {
	switch n := w.more.IntN(100); {
	case n < 10 && m.On():
		errs := []error{syscall.EIO, syscall.ENOSPC}
		at, many, err := 1+w.more.IntN(20), 1+w.more.IntN(6), errs[w.more.IntN(len(errs))]
		w.say("%s will have %d times %v at change %d", m.Name, many, err, at)
		m.FailIn(at, many, err)
	case n < 16:
		w.say("%s is backed up", m.Name)
		m.Backup()
	case n < 20 && m.On() && m.backup != nil:
		return w.restore(m)
	}
	return nil
}

// restore puts m's last backup back.
func (w *World) restore(m *Machine) error {
	w.say("%s crashes, and its backup is put back", m.Name)
	if err := m.Crash(rand.New(rand.NewPCG(w.more.Uint64(), 0))); err != nil {
		return err
	}
	m.Restore()
	w.person.Forgotten(m)
	return m.Start()
}

// midway has an edit made in the middle of one of the next changes that m's node makes.
func (w *World) midway(m *Machine) {
	n := 1 + w.dice.IntN(20)
	w.say("%s will be edited at change %d", m.Name, n)
	m.Midway(n, func() {
		if err := w.person.Edit(m, true); err != nil {
			w.say("edit on %s: %v", m.Name, err)
		}
	})
}

// late lets m join, if it has not.
func (w *World) late(m *Machine) error {
	if w.in[m] || !m.On() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return w.join(ctx, m)
}

// heal repairs the network, starts all and lets all in.
func (w *World) heal() error {
	w.say("all is healed")
	w.net.Heal()
	ctx, cancel := context.WithTimeout(context.Background(), admission)
	defer cancel()
	for _, m := range w.machines {
		if !m.On() {
			if err := m.Start(); err != nil {
				return err
			}
		}
		m.Midway(0, nil)
	}
	for _, m := range w.machines {
		out, err := m.outside()
		if err != nil {
			return err
		}
		if out || !w.in[m] {
			if err := w.join(ctx, m); err != nil {
				return err
			}
		}
	}
	if w.plan.Faults.People {
		time.Sleep(calm) // for all to learn of all removals
		return w.reunite()
	}
	return nil
}

// outside reports whether m neither is in the pool nor asks to be let in, as after it lost its state while it asked.
func (m *Machine) outside() (bool, error) {
	s, err := m.Node().Status(context.Background())
	return len(s.Pools)+len(s.Joining) == 0, err
}

// end stops what runs.
func (w *World) end() error {
	var err error
	for _, m := range w.machines {
		if m.On() {
			err = errors.Join(err, m.Stop())
		}
	}
	return err
}
