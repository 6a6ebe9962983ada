package backupprovider

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"quarterdeck/bot"
)

// maxOutput bounds what is kept of a program's output, and maxErrors of what it
// says on standard error: its beginning, where the first thing that went wrong is.
const (
	maxOutput = 32 << 20
	maxErrors = 64 << 10
)

// program is one program of the machine that a trial runs, watched.
type program struct {
	name  string   // for people: "pg_restore"
	path  string   // absolute
	args  []string // no secrets
	env   []string // beside PATH, HOME and LANG; may hold secrets
	dir   string
	stdin io.Reader // nil for none
	// end is what asks it to end; SIGTERM by default.
	end syscall.Signal
}

// running is a program that was started.
type running struct {
	program
	cmd      *exec.Cmd
	lifeline *os.File
	out      *bounded
	said     *bounded
	done     chan struct{}
	err      error
}

// find gives the path of a program, from bin or from PATH.
func find(bin, name string) (string, error) {
	path := name
	if bin != "" {
		path = filepath.Join(bin, name)
	}
	found, err := exec.LookPath(path)
	if err == nil {
		found, err = filepath.Abs(found)
	}
	if err != nil {
		where := "PATH"
		if bin != "" {
			where = bin
		}
		return "", bot.Errorf(bot.Unavailable, "the program %s is not found in %s", name, where)
	}
	return found, nil
}

// begin starts p under a watcher that ends with the bot, and that holds the lock
// of the place as long as anything of it lives.
func (pl *place) begin(p program) (*running, error) {
	self, err := ownExecutable()
	if err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	if p.end == 0 {
		p.end = syscall.SIGTERM
	}
	r := &running{program: p, lifeline: write, out: &bounded{max: maxOutput}, said: &bounded{max: maxErrors}, done: make(chan struct{})}
	r.cmd = exec.Command(self, append([]string{watcherArg, strconv.Itoa(int(p.end)), p.path}, p.args...)...)
	r.cmd.Args[0] = "quarterdeck"
	r.cmd.Env = append(baseEnvironment(), p.env...)
	r.cmd.Dir = p.dir
	if r.cmd.Dir == "" {
		r.cmd.Dir = pl.folder()
	}
	r.cmd.Stdin, r.cmd.Stdout, r.cmd.Stderr = p.stdin, r.out, r.said
	r.cmd.ExtraFiles = []*os.File{read, pl.lock}
	r.cmd.SysProcAttr = ownGroup()
	// What a program left behind must not hold its output open for ever.
	r.cmd.WaitDelay = killAfter
	if err := r.cmd.Start(); err != nil {
		return nil, errors.Join(err, write.Close())
	}
	go func() {
		r.err = r.cmd.Wait()
		_ = write.Close() // by then nobody reads it
		close(r.done)
	}()
	return r, nil
}

// stop ends the program and waits for that.
func (r *running) stop() {
	_ = r.lifeline.Close() // a second close changes nothing
	select {
	case <-r.done:
	case <-time.After(2 * killAfter): // its watcher is stuck: the group of it goes
		_ = signalGroup(r.cmd.Process.Pid, syscall.SIGKILL)
		<-r.done
	}
}

// run runs a program to its end, or to that of ctx.
func (pl *place) run(ctx context.Context, p program) (out []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r, err := pl.begin(p)
	if err != nil {
		return nil, err
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		r.stop()
		return nil, ctx.Err()
	}
	if r.out.over {
		return nil, bot.Errorf(bot.Invalid, "%s gave more than %s", p.name, bytesText(maxOutput))
	}
	if err := r.ended(); err != nil {
		return nil, err
	}
	return r.out.Bytes(), nil
}

// ended says how a program that ended did.
func (r *running) ended() error {
	if r.err == nil {
		return nil
	}
	say := why(r.said.String())
	var exit *exec.ExitError
	switch {
	case !errors.As(r.err, &exit):
		// Its input could not be read, which says more than what it made of that.
		var said *bot.Error
		if errors.As(r.err, &said) {
			return said
		}
		return fmt.Errorf("%s: %w", r.name, r.err)
	case say == "" && exit.ExitCode() == codeSignalled:
		say = "it was ended by a signal"
	case say == "":
		say = fmt.Sprintf("exit status %d", exit.ExitCode())
	}
	e := bot.Errorf(bot.Conflict, "%s says: %s", r.name, say)
	e.Err = r.err
	return e
}

// why finds what went wrong in what a program said: the first line that says that
// it is an error, else the last.
func why(said string) string {
	last := ""
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		last = line
		lower := strings.ToLower(line)
		if strings.Contains(lower, "error") || strings.Contains(lower, "fatal") {
			break
		}
	}
	return clean(begins.ReplaceAllString(last, ""), maxSaid)
}

// begins is what client programs put before what they say.
var begins = regexp.MustCompile(`^[a-z_-]+:(<stdin>:[0-9]+:)? *((?i)error|fatal): *`)

// baseEnvironment is what every program gets of the bot's own.
func baseEnvironment() []string {
	env := []string{"LC_ALL=C", "TZ=UTC"} // what is read from programs is in no language
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// bounded keeps the beginning of what is written to it. exec's copying goroutine is
// the only writer, and it is read when that has ended.
type bounded struct {
	bytes.Buffer
	max  int
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if room := b.max - b.Len(); room < len(p) {
		b.over = true
		b.Buffer.Write(p[:max(room, 0)])
		return len(p), nil
	}
	return b.Buffer.Write(p)
}
