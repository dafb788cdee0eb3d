package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/bwaklog/meerkat/node"
)

const (
	timeoutHeader = "Meerkat-Timeout-Ms"
	prefix        = "/v1/"
	maxRequest    = 1 << 20 // bytes of a request's body
	maxCalls      = 128     // calls and streams at once
	lineTimeout   = 30 * time.Second
	stopTimeout   = time.Second
)

// Serve answers the callers of l from b until ctx ends; then it ends their
// calls, waits for them (at most a second) and closes l. It blocks, returns nil
// after a stop by ctx, and owns l from the start. log may be nil.
func Serve(ctx context.Context, l net.Listener, b Backend, log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &http.Server{
		Handler:           handler(b),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 5 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return ServeUntil(ctx, s, l)
}

// ServeUntil answers on l until ctx ends, then lets what is under way end, for a moment, and cuts the rest. It closes l and
// returns what ended it before its time, or nil.
func ServeUntil(ctx context.Context, s *http.Server, l net.Listener) error {
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(l) }()
	select {
	case err := <-failed:
		return errors.Join(err, s.Close())
	case <-ctx.Done():
	}
	err := stop(s)
	<-failed
	return err
}

// stop lets the calls end that saw their context end, and cuts the rest.
func stop(s *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		return s.Close()
	}
	return nil
}

// handler is the table of verbs as HTTP.
func handler(b Backend) http.Handler {
	mux := http.NewServeMux()
	slots := make(chan struct{}, maxCalls)
	for name, v := range doors() {
		mux.HandleFunc(prefix+name, func(rw http.ResponseWriter, r *http.Request) {
			w := &answer{rw: rw, ctl: http.NewResponseController(rw)}
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
			default:
				w.fail(&node.Error{Code: "busy", Message: "the node answers too many callers already", Hint: "close some of them, then try again"})
				return
			}
			serve(b, v, w, r)
		})
	}
	mux.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) {
		w := &answer{rw: rw, ctl: http.NewResponseController(rw)}
		w.fail(&node.Error{
			Code: "unknown_command", Exit: exitNotFound,
			Message: "the running node does not know the command " + strconv.Quote(r.URL.Path),
			Hint:    `it may be older than this program: stop it, and start it again with "meerkat up"`,
		})
	})
	return mux
}

func serve(b Backend, v verb, w *answer, r *http.Request) {
	ctx, cancel, err := deadline(r)
	if err != nil {
		w.fail(err)
		return
	}
	defer cancel()
	if err := v(ctx, b, &request{r}, w); err != nil {
		w.fail(err)
	}
}

// deadline gives a call the time that its caller has.
func deadline(r *http.Request) (context.Context, context.CancelFunc, error) {
	s := r.Header.Get(timeoutHeader)
	if s == "" {
		return r.Context(), func() {}, nil
	}
	ms, err := strconv.ParseInt(s, 10, 64)
	if err != nil || ms < 0 || ms > int64(time.Duration(1<<62)/time.Millisecond) {
		return nil, nil, badRequest(errors.New(timeoutHeader + " is not a number of milliseconds"))
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(ms)*time.Millisecond)
	return ctx, cancel, nil
}

func badRequest(err error) error {
	return &node.Error{Code: "bad_request", Message: "the node does not understand the request", Exit: exitUsage, Err: err}
}

// request is what came in.
type request struct{ *http.Request }

// decode reads the arguments: one JSON object, or nothing for all zero. An
// unknown field is refused, for what it asks would not be done.
func (q *request) decode(into any) error {
	switch q.Method {
	case http.MethodGet:
		return nil
	case http.MethodPost:
	default:
		return badRequest(errors.New("method " + q.Method))
	}
	body, err := io.ReadAll(io.LimitReader(q.Body, maxRequest+1))
	if err != nil {
		return badRequest(err)
	}
	if len(body) > maxRequest {
		return badRequest(errors.New("more than 1 MiB"))
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return badRequest(err)
	}
	if d.More() {
		return badRequest(errors.New("more than one object"))
	}
	return nil
}

// answer is what goes out: lines of JSON, then perhaps an error.
type answer struct {
	rw     http.ResponseWriter
	ctl    *http.ResponseController
	opened bool
}

// open sends the header, so that the caller of a stream knows it is heard.
func (w *answer) open() error {
	w.header(http.StatusOK)
	return w.ctl.Flush()
}

func (w *answer) header(status int) {
	if w.opened {
		return
	}
	w.opened = true
	w.rw.Header().Set("Content-Type", "application/json")
	w.rw.WriteHeader(status)
}

// line sends one object at once. A caller that does not read loses the
// connection after lineTimeout, so that nothing waits for it.
func (w *answer) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.header(http.StatusOK)
	if err := w.ctl.SetWriteDeadline(time.Now().Add(lineTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := w.rw.Write(append(b, '\n')); err != nil {
		return err
	}
	return w.ctl.Flush()
}

// fail sends err: as the whole answer, or as the last line of a stream.
func (w *answer) fail(err error) {
	w.header(httpStatus(Flat(err)))
	// A caller that hung up gets no answer, and there is nobody to tell.
	_, _ = w.rw.Write(append(MarshalError(err), '\n'))
}
