package terminal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"quarterdeck/bot"
)

// probeTimeout bounds the look for a live server behind an existing socket.
const probeTimeout = 2 * time.Second

// socketFile is a listening socket and the lock that says whose it is.
type socketFile struct {
	*net.UnixListener
	path string
	lock *os.File
}

// listen makes the socket at path with mode 0600, in a folder of mode 0700
// where it has to make one; where a group is named it is the group's too, with
// mode 0660 and 0750. The socket file of a server that is gone is replaced; a
// live server is a Conflict.
func listen(ctx context.Context, path, group string) (*socketFile, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	gid, err := groupNumber(group)
	if err != nil {
		return nil, err
	}
	folder := filepath.Dir(path)
	if err := makeFolder(folder, gid); err != nil {
		return nil, &bot.Error{Op: "terminal.listen", Kind: bot.Invalid, Say: fmt.Sprintf("the folder of the socket %s cannot be made", path), Err: err}
	}
	info, err := os.Stat(folder)
	if err != nil {
		return nil, &bot.Error{Op: "terminal.listen", Kind: bot.Invalid, Say: fmt.Sprintf("cannot look at the folder %s", folder), Err: err}
	}
	if err := checkFolder("terminal.listen", folder, info); err != nil {
		return nil, err
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		if errors.Is(err, errLocked) {
			return nil, inUse(path)
		}
		if errors.Is(err, errNotOurs) {
			return nil, bot.Errorf(bot.Invalid, "%s.lock is not a file of its own but a link or something else, which could lead anywhere; remove it", path)
		}
		return nil, &bot.Error{Op: "terminal.listen", Kind: bot.Invalid, Say: fmt.Sprintf("the lock %s.lock cannot be taken", path), Err: err}
	}
	if err := clearStale(ctx, path); err != nil {
		lock.Close()
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		lock.Close()
		return nil, &bot.Error{Op: "terminal.listen", Kind: bot.Invalid, Say: fmt.Sprintf("cannot listen on the socket %s", path), Err: err}
	}
	if err := admit(path, group, gid); err != nil {
		l.Close()
		lock.Close()
		return nil, err
	}
	return &socketFile{UnixListener: l, path: path, lock: lock}, nil
}

// groupNumber looks a group up; -1 for none.
func groupNumber(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, &bot.Error{Op: "terminal.listen", Kind: bot.Invalid,
			Say: fmt.Sprintf("[bot] socket_group is %q, and this machine has no such group; make it with: groupadd %s", name, name), Err: err}
	}
	return strconv.Atoi(g.Gid)
}

// makeFolder makes the folder for a socket where there is none, for its owner
// and the group that is to open the socket.
func makeFolder(folder string, gid int) error {
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil || gid < 0 {
		return err
	}
	if err := os.Chown(folder, -1, gid); err != nil {
		return err
	}
	return os.Chmod(folder, 0o750)
}

// admit sets who may open the socket: its owner, and the group where there is one.
func admit(path, group string, gid int) error {
	if err := os.Chmod(path, 0o600); err != nil {
		return &bot.Error{Op: "terminal.listen", Kind: bot.Invalid, Say: fmt.Sprintf("the mode of the socket %s cannot be set to 0600", path), Err: err}
	}
	if gid < 0 {
		return nil
	}
	if err := os.Lchown(path, -1, gid); err != nil {
		return &bot.Error{Op: "terminal.listen", Kind: bot.Invalid,
			Say: fmt.Sprintf("the socket %s cannot be given to the group %s; the user that runs the bot must be in it", path, group), Err: err}
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return &bot.Error{Op: "terminal.listen", Kind: bot.Invalid, Say: fmt.Sprintf("the mode of the socket %s cannot be set to 0660", path), Err: err}
	}
	return nil
}

// Close stops listening and removes the socket file.
func (s *socketFile) Close() error {
	err := s.UnixListener.Close()
	if e := s.lock.Close(); err == nil {
		err = e
	}
	return err
}

// clearStale removes a socket file that nobody listens on. The caller holds
// the lock.
func clearStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &bot.Error{Op: "terminal.listen", Kind: bot.Invalid, Say: fmt.Sprintf("cannot look at %s", path), Err: err}
	}
	if info.Mode().Type() != fs.ModeSocket {
		return bot.Errorf(bot.Invalid, "%s exists and is not a socket; move it away, or set [bot] socket to another path", path)
	}
	dialer := net.Dialer{Timeout: probeTimeout}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err == nil {
		conn.Close()
		return inUse(path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, fs.ErrNotExist) {
		return &bot.Error{Op: "terminal.listen", Kind: bot.Conflict, Say: fmt.Sprintf("cannot tell whether a bot listens on %s", path), Err: err}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &bot.Error{Op: "terminal.listen", Kind: bot.Invalid, Say: fmt.Sprintf("the old socket %s cannot be removed", path), Err: err}
	}
	return nil
}

func inUse(path string) error {
	return bot.Errorf(bot.Conflict, "another bot listens on %s; stop it first, or set [bot] socket to another path", path)
}

// checkPath refuses paths that do not fit the kernel's socket address.
func checkPath(path string) error {
	switch {
	case path == "":
		return bot.Errorf(bot.Invalid, "the terminal needs a socket; set [bot] socket to a path")
	case len(path) > maxPath:
		return bot.Errorf(bot.Invalid, "the socket path has %d bytes and at most %d are possible; set [bot] socket to a shorter path than %s", len(path), maxPath, path)
	}
	return nil
}

// checkFolder refuses a folder in which others could listen in the bot's place.
// That others may not remove what is not theirs does not help: they could be
// there first.
func checkFolder(op, folder string, info fs.FileInfo) error {
	mode := info.Mode()
	if mode.Perm()&0o002 == 0 && (mode.Perm()&0o020 == 0 || mode&fs.ModeSticky != 0) {
		return nil
	}
	return &bot.Error{Op: op, Kind: bot.Invalid,
		Say: fmt.Sprintf("others can write to %s and could listen there in the bot's place; set [bot] socket to a path in a folder that they cannot write to, or run: chmod go-w %s", folder, folder)}
}
