package execprovider

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// folder is where one operation keeps its files. Every file in it but the log
// appears whole or not at all.
type folder struct{ path string }

// claim says who runs an attempt. Withdrawn, if not "", is why nobody does or
// ever will.
type claim struct {
	Host      string    `json:"host"`
	Boot      string    `json:"boot"`
	Shim      process   `json:"shim,omitzero"`
	NotAfter  int64     `json:"not_after,omitempty"` // nanoseconds since boot
	At        time.Time `json:"at"`
	Withdrawn string    `json:"withdrawn,omitempty"`
}

// Why a claim was withdrawn.
const (
	withdrawnCancel = "cancelled"
	withdrawnGiveUp = "could not be started"
)

// start is the decision whether a claimed attempt ran.
type start struct {
	Verdict string    `json:"verdict"`
	At      time.Time `json:"at"`
}

const (
	verdictStarted   = "started"
	verdictAbandoned = "abandoned"
)

// exit is how an attempt ended. Cause is why the shim ended it, if it did.
type exit struct {
	Code     int      `json:"code"`
	Signal   string   `json:"signal,omitempty"`
	Cause    string   `json:"cause,omitempty"`
	Killed   bool     `json:"killed,omitempty"` // TERM was not enough
	Error    string   `json:"error,omitempty"`  // the command could not be started
	Progress progress `json:"progress"`
	LastLine string   `json:"last_line,omitempty"`
	// LastError is the last line of standard error; absent where an older
	// version watched.
	LastError string    `json:"last_error,omitempty"`
	At        time.Time `json:"at"`
}

const (
	causeCancel  = "cancel"
	causeTimeout = "timeout"
)

func claimFile(n int) string    { return strconv.Itoa(n) + ".claim" }
func startFile(n int) string    { return strconv.Itoa(n) + ".start" }
func commandFile(n int) string  { return strconv.Itoa(n) + ".command" }
func progressFile(n int) string { return strconv.Itoa(n) + ".progress" }
func logFile(n int) string      { return strconv.Itoa(n) + ".log" }
func exitFile(n int) string     { return strconv.Itoa(n) + ".exit" }
func termFile(n int) string     { return strconv.Itoa(n) + ".term" }

const (
	cancelFile = "cancel"
	shimLog    = "shim.log"
	tempPrefix = ".new-"
)

func (f folder) file(name string) string { return filepath.Join(f.path, name) }

// make creates the folder so that it survives a power failure.
func (f folder) make() error {
	if _, err := os.Stat(f.path); err == nil {
		return nil
	}
	parent := filepath.Dir(f.path)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(f.path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// once creates a file that can be created only once, with all its content, and
// durably. won is false if it is there already.
func (f folder) once(name string, v any) (won bool, err error) {
	temp, err := f.temp(v, true)
	if err != nil {
		return false, err
	}
	defer os.Remove(temp)
	if err := os.Link(temp, f.file(name)); errors.Is(err, fs.ErrExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return true, syncDir(f.path)
}

// replace writes a file anew; readers see the old or the new content. A durable
// one survives a power failure.
func (f folder) replace(name string, v any, durable bool) error {
	temp, err := f.temp(v, durable)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, f.file(name)); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if !durable {
		return nil
	}
	return syncDir(f.path)
}

func (f folder) temp(v any, durable bool) (path string, err error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	file, err := os.CreateTemp(f.path, tempPrefix+"*")
	if err != nil {
		return "", err
	}
	_, err = file.Write(append(raw, '\n'))
	if err == nil && durable {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return file.Name(), nil
}

// read decodes a file; found is false if there is none.
func (f folder) read(name string, v any) (found bool, err error) {
	raw, err := os.ReadFile(f.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return false, fmt.Errorf("%s: %w", f.file(name), err)
	}
	return true, nil
}

// cancel asks for the operation to end; asking again changes nothing.
func (f folder) cancel(at time.Time) error {
	if _, asked, err := f.cancelled(); err != nil || asked {
		return err
	}
	if err := f.make(); err != nil {
		return err
	}
	_, err := f.once(cancelFile, start{Verdict: causeCancel, At: at})
	return err
}

// cancelled tells whether and when somebody asked for the operation to end.
func (f folder) cancelled() (at time.Time, asked bool, err error) {
	info, err := os.Stat(f.file(cancelFile))
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, false, nil
	}
	if err != nil {
		return time.Time{}, false, err
	}
	return info.ModTime(), true, nil
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// phase is how an operation stands by its files and processes.
type phase int

const (
	phaseNone      phase = iota // nobody has claimed it
	phaseWithdrawn              // nobody ever will
	phaseClaimed                // its shim runs and has not started the command yet
	phaseStale                  // its shim is gone, or out of sight, and had not started the command when looked at
	phaseAbandoned              // given up before it was started
	phaseRunning
	phaseOrphaned // the command runs and its shim is gone
	phaseEnded
	phaseRestarted // it was started, and then the host restarted
	phaseLost      // it was started, and neither shim nor command are seen any more
)

// standing is what one look at a folder showed. Attempt is the newest claimed
// one, 0 for none; the rest is about that.
type standing struct {
	phase   phase
	attempt int
	claim   claim
	start   start
	exit    exit
	command process
}

// look reads how the operation stands; boot identifies the present boot.
func (f folder) look(boot string) (standing, error) {
	var s standing
	for n := 1; n <= maxAttempts+1; n++ {
		var c claim
		found, err := f.read(claimFile(n), &c)
		if err != nil {
			return standing{}, err
		}
		if !found {
			break
		}
		s.attempt, s.claim = n, c
	}
	switch {
	case s.attempt == 0:
		return s, nil
	case s.claim.Withdrawn != "":
		s.phase = phaseWithdrawn
		return s, nil
	}
	life := dead
	if s.claim.Boot == boot {
		life = s.claim.Shim.life()
	}
	// Read after the look at the shim: one that is dead writes nothing more.
	started, err := f.read(startFile(s.attempt), &s.start)
	if err != nil {
		return standing{}, err
	}
	if !started {
		s.phase = phaseStale
		if life == alive {
			s.phase = phaseClaimed
		}
		return s, nil
	}
	if s.start.Verdict == verdictAbandoned {
		s.phase = phaseAbandoned
		return s, nil
	}
	ended, err := f.read(exitFile(s.attempt), &s.exit)
	if err != nil {
		return standing{}, err
	}
	switch {
	case ended:
		s.phase = phaseEnded
	case s.claim.Boot != boot:
		s.phase = phaseRestarted
	case life == alive:
		s.phase = phaseRunning
	default:
		s.phase = phaseLost
		known, err := f.read(commandFile(s.attempt), &s.command)
		if err != nil {
			return standing{}, err
		}
		if known && s.command.life() == alive {
			s.phase = phaseOrphaned
		}
	}
	return s, nil
}

// withdraw makes sure that the attempt never runs; won is false if somebody
// claimed it first.
func (f folder) withdraw(n int, why, host, boot string, at time.Time) (won bool, err error) {
	if err := f.make(); err != nil {
		return false, err
	}
	return f.once(claimFile(n), claim{Host: host, Boot: boot, At: at, Withdrawn: why})
}
