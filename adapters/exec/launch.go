package execprovider

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"quarterdeck/bot"
)

// shimArg is the private first argument by which the executable becomes a shim.
const shimArg = "__exec-shim"

// watchArg makes a shim the watcher itself; without it, it only starts one.
const watchArg = "watch"

// maxOrder bounds what a shim reads: argv, environment and the rest.
const maxOrder = 1 << 20

// order is what a shim is told, on its standard input: it may hold secrets, so
// it is neither an argument nor a file.
type order struct {
	Folder   string   `json:"folder"`
	Attempt  int      `json:"attempt"`
	Host     string   `json:"host"`
	Boot     string   `json:"boot"`
	NotAfter int64    `json:"not_after"` // nanoseconds since boot
	Program  string   `json:"program"`
	Argv     []string `json:"argv"`
	Dir      string   `json:"dir"`
	Env      []string `json:"env"`

	Timeout     time.Duration `json:"timeout"`
	KillAfter   time.Duration `json:"kill_after"`
	OutputBytes int           `json:"output_bytes"`
}

// launch starts a shim for the attempt. It returns until when, since boot, that
// shim may take its claim. A Timeout leaves open whether it was started.
func (l *look) launch(ctx context.Context, attempt int, now time.Duration) (until time.Duration, err error) {
	left := fallbackEnd
	if end, ok := ctx.Deadline(); ok {
		left = time.Until(end)
	}
	o, err := l.order(attempt, now+left)
	if err != nil {
		return 0, err
	}
	raw, err := json.Marshal(o)
	if err != nil {
		return 0, &bot.Error{Op: "exec.launch", Kind: bot.Internal, Err: err}
	}
	if len(raw) > maxOrder {
		return 0, bot.Errorf(bot.Invalid, "the command of %s has more arguments and environment than the %d bytes allowed", l.subject(), maxOrder)
	}
	if err := l.f.make(); err != nil {
		return 0, stateError("the state folder cannot be made", err)
	}
	l.sweep()
	if err := startShim(ctx, l.f, raw); err != nil {
		if ctx.Err() != nil {
			return 0, timeoutError(errors.Join(ctx.Err(), err))
		}
		return 0, &bot.Error{Op: "exec.launch", Kind: bot.Unavailable, Err: err,
			Say: "the process that is to watch the command cannot be started"}
	}
	return now + left, nil
}

func (l *look) order(attempt int, notAfter time.Duration) (order, error) {
	task := l.s.Task
	argv, name, vars, err := l.command()
	if err != nil {
		return order{}, err
	}
	env, _, err := l.environment(name)
	if err != nil {
		return order{}, err
	}
	for _, v := range append(vars, variable{"OP_ID", task.Key}, variable{"OP_ACTOR", task.Actor}, variable{"OP_REASON", cut(task.Reason, maxLink)}) {
		env = append(env, v.name+"="+plain(v.value))
	}
	program, err := l.program(argv)
	if err != nil {
		return order{}, bot.Errorf(bot.Invalid, "the program %q of %s is not found; it is looked for in dir when it has a slash, and in PATH otherwise", plain(argv[0]), l.subject())
	}
	return order{
		Folder: l.f.path, Attempt: attempt, Host: l.host, Boot: l.boot, NotAfter: int64(notAfter),
		Program: program, Argv: argv, Dir: l.dir, Env: env,
		Timeout: l.table.Timeout.or(defaultTimeout), KillAfter: l.table.KillAfter.or(defaultKillAfter),
		OutputBytes: l.settings.OutputBytes,
	}, nil
}

// variable is one of a command's environment.
type variable struct{ name, value string }

// command gives the argv of the operation, what OP_ACTION is called, and what
// else its environment holds.
func (l *look) command() (argv []string, name string, vars []variable, err error) {
	if in := l.s.Invocation; in != nil {
		argv, err = l.action.argv(*in)
		return argv, in.Action, nil, err
	}
	if s := l.s.Scaling; s != nil {
		return l.table.Argv, actionScale, []variable{{"OP_DIMENSION", s.Dimension}, {"OP_COUNT", s.To}, {"OP_FROM", s.From}}, nil
	}
	dep := l.s.Deployment
	argv, err = l.argv(dep.Action)
	return argv, string(dep.Action), []variable{{"OP_VERSION", dep.To.Version}, {"OP_ARTEFACT", dep.To.ID}, {"OP_FROM", dep.From.Version}}, err
}

// subject names what the operation is about, for sentences.
func (l *look) subject() string {
	if l.s.Invocation == nil {
		return l.target.String()
	}
	return strings.TrimSuffix("the action "+l.s.Invocation.Action+" on "+l.target.String(), " on ")
}

// startShim starts the shim that starts the watcher, and waits for the former:
// so the watcher is no child of the bot, and nobody has to wait for it.
func startShim(ctx context.Context, f folder, order []byte) (err error) {
	self, err := ownExecutable()
	if err != nil {
		return err
	}
	// What the shim itself has to say, such as a panic, must not end with the
	// bot, so it goes to a file.
	said, err := os.OpenFile(f.file(shimLog), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer said.Close()
	in, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.CommandContext(ctx, self, shimArg)
	cmd.Args[0] = "quarterdeck"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, said, said
	cmd.Env = shimEnvironment()
	cmd.SysProcAttr = ownGroup()
	err = cmd.Start()
	_ = in.Close() // the shim has its own
	if err != nil {
		return err
	}
	if end, ok := ctx.Deadline(); ok {
		err = out.SetWriteDeadline(end)
	}
	if err == nil {
		_, err = out.Write(order)
	}
	return errors.Join(err, out.Close(), cmd.Wait())
}

// shimEnvironment is the shim's own; the command's comes with its order.
func shimEnvironment() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

func readOrder(r io.Reader) (order, error) {
	var o order
	raw, err := io.ReadAll(io.LimitReader(r, maxOrder+1))
	if err != nil {
		return o, err
	}
	if err := json.Unmarshal(raw, &o); err != nil { // cut short: the bot was killed
		return o, fmt.Errorf("order of %d bytes: %w", len(raw), err)
	}
	return o, nil
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:20])
}
