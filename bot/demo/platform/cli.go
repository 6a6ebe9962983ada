package platform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// The exit codes of the command line.
const (
	ExitOK       = 0
	ExitFailed   = 1
	ExitRefused  = 2  // bad input, or the world is not as the caller believes
	ExitTryAgain = 75 // busy or not reachable; nothing was done
)

const (
	askTimeout = 10 * time.Second
	// operationTimeout is far above what the longest roll takes.
	operationTimeout = 15 * time.Minute
	abortRetry       = 200 * time.Millisecond
)

const usage = "expected one of deploy, rollback, restart, scale, current, releases, stats, status, backup and abort"

// Main is the command line. It finds the platform by the socket in the current
// folder, or by PLATFORM_SOCK, and what to do in the environment:
//
//	deploy    OP_ID OP_ACTOR OP_ENV OP_VERSION [OP_FROM] [OP_REASON] [OP_SERVICE]
//	rollback  the same; without OP_VERSION to what was live before
//	restart   OP_ID OP_ACTOR OP_ENV [OP_FROM] [OP_REASON]
//	scale     OP_ID OP_ACTOR OP_ENV OP_COUNT [OP_FROM] [OP_REASON]
//	current   OP_ENV             one JSON object
//	releases                     a JSON array, the newest last
//	stats                        one JSON object, by environment
//	status    OP_ID              what the platform's log knows of the operation
//	backup    OP_ENV OP_ACTOR    copies the orders database now
//	abort     OP_ENV [OP_ID]     ends what is under way; the old version comes back
//
// OP_FROM makes a change conditional: it is refused unless that version (for
// scale: that number of instances) is what is there. Progress comes as lines of
// {"phase","percent","message","url"}; the last one says how it ended: done,
// failed, aborted, refused, busy, or unknown if the connection broke. SIGTERM
// aborts the change under way and waits until the old version is back. A change
// whose command line is killed goes on.
func Main(args []string) int {
	// The bot that reads our output may die; how the change ended must still
	// come out as the exit code.
	signal.Ignore(syscall.SIGPIPE)
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	c := newClient(os.Getenv, os.Stdout)
	defer c.http.CloseIdleConnections()
	return c.run(stop, args)
}

// client is one run of the command line.
type client struct {
	getenv func(string) string
	out    io.Writer
	socket string
	http   *http.Client
}

func newClient(getenv func(string) string, out io.Writer) *client {
	c := &client{getenv: getenv, out: out, socket: getenv("PLATFORM_SOCK")}
	if c.socket == "" {
		c.socket = SocketName
	}
	dialer := net.Dialer{Timeout: 3 * time.Second}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", c.socket)
		},
	}}
	return c
}

func (c *client) run(stop context.Context, args []string) int {
	if len(args) != 1 {
		return c.end(*refused("%d arguments are given; %s", len(args), usage))
	}
	switch verb := args[0]; verb {
	case ActionDeploy, ActionRollback, ActionRestart, ActionScale:
		return c.change(stop, verb)
	case "abort":
		return c.stopChange(stop)
	case "backup":
		return c.takeBackup(stop)
	case "current":
		return c.show(stop, "/v1/current?env="+url.QueryEscape(c.getenv("OP_ENV")))
	case "status":
		return c.show(stop, "/v1/operation?op="+url.QueryEscape(c.getenv("OP_ID")))
	case "logs":
		asked := url.Values{}
		for _, name := range []string{"env", "grep", "since", "until", "limit"} {
			asked.Set(name, c.getenv("OP_"+strings.ToUpper(name)))
		}
		return c.show(stop, "/v1/logs?"+asked.Encode())
	case "releases", "stats":
		return c.show(stop, "/v1/"+verb)
	default:
		return c.end(*refused("%q is not known; %s", verb, usage))
	}
}

func (c *client) request(action string) request {
	return request{
		Action: action, Op: c.getenv("OP_ID"), Actor: c.getenv("OP_ACTOR"), Env: c.getenv("OP_ENV"),
		Service: c.getenv("OP_SERVICE"), Version: c.getenv("OP_VERSION"), From: c.getenv("OP_FROM"),
		Count: c.getenv("OP_COUNT"), Reason: c.getenv("OP_REASON"),
	}
}

// change asks for an operation and tells its story to the end.
func (c *client) change(stop context.Context, action string) int {
	in := c.request(action)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(stop), operationTimeout)
	defer cancel()
	resp, err := c.send(ctx, "/v1/operations", in)
	if err != nil {
		return c.end(unreachable(c.socket, err))
	}
	defer resp.Body.Close()

	over := make(chan struct{})
	aborted := make(chan struct{})
	go func() {
		defer close(aborted)
		select {
		case <-stop.Done():
			c.abortUntil(ctx, over, in)
		case <-over:
		}
	}()
	last := c.pass(resp.Body)
	close(over)
	cancel()
	<-aborted
	return exitCode(last)
}

// pass prints the story and returns its last line.
func (c *client) pass(story io.Reader) progress {
	for lines := json.NewDecoder(story); ; {
		var p progress
		if err := lines.Decode(&p); err != nil {
			p = progress{Phase: phaseUnknown, Message: "the platform went away in the middle; ask it for the status of this operation when it is back: " + err.Error()}
		}
		c.print(p)
		if p.final() {
			return p
		}
	}
}

// abortUntil asks for the abort until the operation is over. It asks again
// because the signal may come before the operation has begun.
func (c *client) abortUntil(ctx context.Context, over <-chan struct{}, in request) {
	tick := time.NewTicker(abortRetry)
	defer tick.Stop()
	for {
		if resp, err := c.send(ctx, "/v1/abort", in); err == nil {
			_ = resp.Body.Close() // the story itself says how it ends
		}
		select {
		case <-over:
			return
		case <-tick.C:
		}
	}
}

// stopChange is the verb abort: done is what it calls the old version being back.
func (c *client) stopChange(stop context.Context) int {
	ctx, cancel := context.WithTimeout(stop, operationTimeout)
	defer cancel()
	resp, err := c.send(ctx, "/v1/abort", c.request("abort"))
	if err != nil {
		return c.end(unreachable(c.socket, err))
	}
	defer resp.Body.Close()
	switch last := c.pass(resp.Body); last.Phase {
	case phaseAborted:
		return ExitOK
	case phaseRefused:
		return ExitRefused
	default: // too late: it has ended otherwise
		return ExitFailed
	}
}

// takeBackup asks for a backup and says where it is.
func (c *client) takeBackup(stop context.Context) int {
	ctx, cancel := context.WithTimeout(stop, backupTimeout+askTimeout)
	defer cancel()
	resp, err := c.send(ctx, "/v1/backup", c.request("backup"))
	if err != nil {
		return c.end(unreachable(c.socket, err))
	}
	defer resp.Body.Close()
	return exitCode(c.pass(resp.Body))
}

// show prints one answer as it is.
func (c *client) show(stop context.Context, path string) int {
	ctx, cancel := context.WithTimeout(stop, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://platform"+path, nil)
	if err != nil {
		return c.end(*refused("%v", err))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.end(unreachable(c.socket, err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return c.end(unreachable(c.socket, err))
	}
	if _, err := c.out.Write(body); err != nil {
		return ExitFailed
	}
	if resp.StatusCode != http.StatusOK {
		return ExitRefused
	}
	return ExitOK
}

func (c *client) send(ctx context.Context, path string, in request) (*http.Response, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://platform"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return c.http.Do(req)
}

func (c *client) print(p progress) {
	line, err := json.Marshal(p)
	if err != nil {
		line = []byte(`{"phase":"unknown","percent":0,"message":"a line of the story cannot be printed"}`)
	}
	_, _ = c.out.Write(append(line, '\n')) // the reader may be gone; the exit code still counts
}

// end prints the only line there is to say.
func (c *client) end(p progress) int {
	c.print(p)
	return exitCode(p)
}

// unreachable tells a platform that is not there, where nothing was done, from
// a connection that broke after the request was on its way.
func unreachable(socket string, err error) progress {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return *busy("the platform cannot be reached at %s, is it running? Nothing was done: %s", socket, strings.TrimSpace(op.Err.Error()))
	}
	return progress{Phase: phaseUnknown, Message: fmt.Sprintf("the platform did not answer; whether it acts is not known: %v", err)}
}

func exitCode(last progress) int {
	switch last.Phase {
	case phaseDone:
		return ExitOK
	case phaseRefused:
		return ExitRefused
	case phaseBusy:
		return ExitTryAgain
	default:
		return ExitFailed
	}
}
