package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/bwaklog/meerkat/node"
)

const (
	maxLine     = 64 << 20 // bytes of one answer
	answerGrace = 2 * time.Second
)

// Client speaks to the node of one home. It is a [Backend], holds nothing open
// between calls, and is safe for concurrent use.
type Client struct {
	home string
	http *http.Client
}

var _ Backend = (*Client)(nil)

// NewClient knocks at the socket of home. It does not look whether anybody is
// there: the first call tells, with the code "not_running".
func NewClient(home string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return dialHome(ctx, home) }
	return &Client{home: home, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Running reports whether somebody listens at the socket now, or whether there
// is somebody whom we may not ask.
func (c *Client) Running(ctx context.Context) bool {
	conn, err := dialHome(ctx, c.home)
	if err != nil {
		return Flat(err).Code == "not_allowed"
	}
	_ = conn.Close() // nothing was said
	return true
}

// NotRunning is the error of a call to a home where no node runs.
func NotRunning(home string, err error) error {
	return &node.Error{
		Code: "not_running", Exit: exitNoNode, Err: err,
		Message: "no node runs on " + home,
		Hint:    `start it with "meerkat up"`,
	}
}

// stream calls a verb and gives each line of the answer to f; the lines are
// valid during the call.
func (c *Client) stream(ctx context.Context, name string, args any, f func(line []byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The node is told the deadline and answers at it; we wait a little longer for that answer.
	outer, stop := graced(ctx)
	defer stop()
	resp, err := c.post(outer, ctx, name, args)
	if err != nil {
		return ended(ctx, err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if err := asFault(lines.Bytes()); err != nil {
			return ended(ctx, err)
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("the node answers %s", resp.Status)
		}
		if err := f(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return ended(ctx, lost(err))
	}
	return nil
}

// ended says that ctx ended where that is why a call failed.
func ended(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx)
	}
	return err
}

func lost(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // a person did not ask for a URL
	}
	return &node.Error{
		Code: "connection_lost", Exit: exitNoNode, Err: err,
		Message: "the node stopped before it had answered",
		Hint:    `look at what it said last, then start it with "meerkat up"`,
	}
}

// graced gives a context without ctx's deadline, but with one a little later.
func graced(ctx context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) {
			cancel(context.Cause(ctx))
		}
	})
	until, ok := ctx.Deadline()
	if !ok {
		return out, func() { stop(); cancel(nil) }
	}
	late, cancelLate := context.WithDeadline(out, until.Add(answerGrace))
	return late, func() { stop(); cancelLate(); cancel(nil) }
}

func (c *Client) post(ctx, asked context.Context, name string, args any) (*http.Response, error) {
	body, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://meerkat"+prefix+name, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if until, ok := asked.Deadline(); ok {
		r.Header.Set(timeoutHeader, strconv.FormatInt(max(0, time.Until(until).Milliseconds()), 10))
	}
	resp, err := c.http.Do(r)
	var e *node.Error
	if err != nil && !errors.As(err, &e) && ctx.Err() == nil {
		return nil, lost(err)
	}
	if e != nil {
		return nil, e // as dialHome made it, without the words of package http
	}
	return resp, err
}

// ask calls a verb with one answer.
func ask[R any](ctx context.Context, c *Client, name string, args any) (R, error) {
	var r R
	n := 0
	err := c.stream(ctx, name, args, func(line []byte) error {
		n++
		return json.Unmarshal(line, &r)
	})
	if err == nil && n != 1 {
		err = lost(io.ErrUnexpectedEOF)
	}
	return r, err
}

// do calls a verb that answers only with success.
func (c *Client) do(ctx context.Context, name string, args any) error {
	_, err := ask[none](ctx, c, name, args)
	return err
}

// follow calls a verb that answers with a stream.
func follow[R any](ctx context.Context, c *Client, name string, args any, f func(R) error) error {
	return c.stream(ctx, name, args, func(line []byte) error {
		var r R
		if err := json.Unmarshal(line, &r); err != nil {
			return fmt.Errorf("decode the node's answer: %w", err)
		}
		return f(r)
	})
}
