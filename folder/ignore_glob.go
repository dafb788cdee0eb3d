package folder

import (
	"errors"
	"strings"
)

// glob is a compiled pattern. Matching takes at most len(pattern) × len(path) steps, whatever the pattern: it goes
// back to the last star alone, which loses nothing because a later star can do whatever an earlier one could.
type glob struct {
	toks  []token
	least int // no shorter text matches
}

type token struct {
	op  op
	lit string     // literal
	set *[256]bool // class; never holds the slash
}

type op uint8

const (
	literal   op = iota
	anyByte      // "?": one byte, not the slash
	class        // "[…]"
	star         // "*": any bytes but the slash
	deep         // "**": any bytes
	deepSlash    // "**/": nothing, or any bytes up to a slash
)

func (g *glob) literal() (string, bool) {
	if len(g.toks) == 1 && g.toks[0].op == literal {
		return g.toks[0].lit, true
	}
	return "", false
}

// suffix is the literal after one leading star.
func (g *glob) suffix() (string, bool) {
	if len(g.toks) == 2 && g.toks[0].op == star && g.toks[1].op == literal {
		return g.toks[1].lit, true
	}
	return "", false
}

// end is the byte that every match ends in, where there is one.
func (g *glob) end() (byte, bool) {
	if n := len(g.toks); n > 0 && g.toks[n-1].op == literal {
		lit := g.toks[n-1].lit
		return lit[len(lit)-1], true
	}
	return 0, false
}

func (g *glob) match(s string) bool {
	if len(s) < g.least {
		return false
	}
	m := matcher{toks: g.toks, s: s, star: -1, deep: -1}
	for m.t < len(m.toks) || m.i < len(s) {
		if !m.step() && !m.back() {
			return false
		}
	}
	return true
}

// matcher is at token t and byte i, and remembers where the last star and the last deep star took over.
type matcher struct {
	toks         []token
	s            string
	t, i         int
	star, starAt int
	deep, deepAt int
}

// step takes one token, and says whether it could.
func (m *matcher) step() bool {
	if m.t == len(m.toks) {
		return false
	}
	n := 0
	switch k := &m.toks[m.t]; k.op {
	case literal:
		if !strings.HasPrefix(m.s[m.i:], k.lit) {
			return false
		}
		n = len(k.lit)
	case anyByte:
		if m.i == len(m.s) || m.s[m.i] == '/' {
			return false
		}
		n = 1
	case class:
		if m.i == len(m.s) || !k.set[m.s[m.i]] {
			return false
		}
		n = 1
	case star:
		m.star, m.starAt = m.t, m.i
	default:
		m.deep, m.deepAt, m.star = m.t, m.i, -1
	}
	m.t, m.i = m.t+1, m.i+n
	return true
}

// back lets the last star take one byte more, or else the last deep star, and says whether one could.
func (m *matcher) back() bool {
	if m.star >= 0 && m.starAt < len(m.s) && m.s[m.starAt] != '/' {
		m.starAt++
		m.t, m.i = m.star+1, m.starAt
		return true
	}
	m.star = -1
	if m.deep < 0 || m.deepAt >= len(m.s) {
		return false
	}
	m.deepAt++
	if m.toks[m.deep].op == deepSlash {
		slash := strings.IndexByte(m.s[m.deepAt-1:], '/')
		if slash < 0 {
			return false
		}
		m.deepAt += slash
	}
	m.t, m.i = m.deep+1, m.deepAt
	return true
}

// What is wrong with a pattern.
var (
	errBracket   = errors.New("its bracket is not closed")
	errClassName = errors.New("it names an unknown class of characters")
	errBackslash = errors.New("it ends in a backslash that escapes nothing")
)

// compileGlob compiles a pattern. It cuts off the literal beginning first, as git does, and that shows: after
// it, "**" counts as standing at the beginning.
func compileGlob(p string) (glob, error) {
	head := len(p)
	if i := strings.IndexAny(p, `*?[\`); i >= 0 {
		head = i
	}
	c := compiler{p: p[head:]}
	c.text(p[:head])
	for c.i < len(c.p) {
		if err := c.next(); err != nil {
			return glob{}, err
		}
	}
	return glob{toks: c.toks, least: c.least}, nil
}

type compiler struct {
	p     string
	i     int
	toks  []token
	least int
}

func (c *compiler) text(s string) {
	if s == "" {
		return
	}
	c.least += len(s)
	if n := len(c.toks); n > 0 && c.toks[n-1].op == literal {
		c.toks[n-1].lit += s
		return
	}
	c.toks = append(c.toks, token{op: literal, lit: s})
}

func (c *compiler) next() error {
	switch b := c.p[c.i]; b {
	case '\\':
		if c.i+1 == len(c.p) {
			return errBackslash
		}
		c.text(c.p[c.i+1 : c.i+2])
		c.i += 2
	case '?':
		c.add(token{op: anyByte}, 1)
		c.i++
	case '*':
		c.stars()
	case '[':
		return c.bracket()
	default:
		c.text(c.p[c.i : c.i+1])
		c.i++
	}
	return nil
}

func (c *compiler) add(t token, least int) {
	c.toks = append(c.toks, t)
	c.least += least
}

// stars reads a run of stars. Two or more cross slashes only where they stand alone between slashes.
func (c *compiler) stars() {
	from := c.i
	for c.i < len(c.p) && c.p[c.i] == '*' {
		c.i++
	}
	rest := c.p[c.i:]
	alone := (from == 0 || c.p[from-1] == '/') && (rest == "" || rest[0] == '/' || strings.HasPrefix(rest, `\/`))
	switch {
	case c.i-from == 1 || !alone:
		c.addStar(star)
	case rest != "" && rest[0] == '/':
		c.i++
		c.addStar(deepSlash)
	default:
		c.addStar(deep)
	}
}

// addStar leaves out a star that adds nothing to the one before it.
func (c *compiler) addStar(o op) {
	if n := len(c.toks); n > 0 && c.toks[n-1].op == o {
		return
	}
	c.add(token{op: o}, 0)
}

// bracket reads "[…]" by git's rules: "!" or "^" negates, "]" first is itself, and the slash is never matched.
func (c *compiler) bracket() error {
	set := new([256]bool)
	c.i++
	negated := c.i < len(c.p) && (c.p[c.i] == '!' || c.p[c.i] == '^')
	if negated {
		c.i++
	}
	prev := -1 // the character before, where it may begin a range
	for first := true; ; first = false {
		if c.i >= len(c.p) {
			return errBracket
		}
		if c.p[c.i] == ']' && !first {
			break
		}
		var err error
		if prev, err = c.member(set, prev); err != nil {
			return err
		}
	}
	c.i++
	if negated {
		for b := range set {
			set[b] = !set[b]
		}
	}
	set['/'] = false
	c.add(token{op: class, set: set}, 1)
	return nil
}

// member reads one character, range or [:class:] of a bracket, and returns what may begin a range.
func (c *compiler) member(set *[256]bool, prev int) (int, error) {
	switch rest := c.p[c.i:]; {
	case rest[0] == '-' && prev > 0 && len(rest) > 1 && rest[1] != ']':
		c.i++
		high, err := c.char()
		for b := prev; err == nil && b <= int(high); b++ {
			set[b] = true
		}
		return -1, err
	case strings.HasPrefix(rest, "[:"):
		return c.named(set)
	}
	b, err := c.char()
	set[b] = true
	return int(b), err
}

// char reads one character of a bracket, which may be escaped.
func (c *compiler) char() (byte, error) {
	if c.p[c.i] == '\\' {
		c.i++
		if c.i == len(c.p) {
			return 0, errBracket
		}
	}
	c.i++
	return c.p[c.i-1], nil
}

// named reads "[:name:]"; without the ":]" the "[" is a character like others.
func (c *compiler) named(set *[256]bool) (int, error) {
	name, _, closed := strings.Cut(c.p[c.i+2:], "]")
	if !closed {
		return 0, errBracket
	}
	bare, ok := strings.CutSuffix(name, ":")
	if !ok {
		c.i++
		set['['] = true
		return '[', nil
	}
	in := classes[bare]
	if in == nil {
		return 0, errClassName
	}
	for b := range 128 {
		set[b] = set[b] || in(byte(b))
	}
	c.i += len("[::]") + len(bare)
	return -1, nil
}

// classes are the characters of POSIX, in ASCII.
var classes = map[string]func(b byte) bool{
	"alnum":  func(b byte) bool { return isAlpha(b) || isDigit(b) },
	"alpha":  isAlpha,
	"blank":  func(b byte) bool { return b == ' ' || b == '\t' },
	"cntrl":  func(b byte) bool { return b < ' ' || b == 0x7f },
	"digit":  isDigit,
	"graph":  func(b byte) bool { return b > ' ' && b < 0x7f },
	"lower":  func(b byte) bool { return 'a' <= b && b <= 'z' },
	"print":  func(b byte) bool { return b >= ' ' && b < 0x7f },
	"punct":  func(b byte) bool { return b > ' ' && b < 0x7f && !isAlpha(b) && !isDigit(b) },
	"space":  func(b byte) bool { return b == ' ' || b == '\t' || b == '\n' || b == '\r' },
	"upper":  func(b byte) bool { return 'A' <= b && b <= 'Z' },
	"xdigit": func(b byte) bool { return isDigit(b) || 'a' <= b|0x20 && b|0x20 <= 'f' },
}

func isAlpha(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }
func isDigit(b byte) bool { return '0' <= b && b <= '9' }
