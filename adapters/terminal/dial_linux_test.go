package terminal

import (
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"quarterdeck/bot"
)

// stranger is a user that is nobody on this machine.
const stranger = 4242

// asStranger runs f as another user, where the test may become one.
func asStranger(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan syscall.Errno)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		keep := ^uintptr(0)
		_, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0)
		if errno == 0 {
			_, _, errno = unix.RawSyscall(unix.SYS_SETRESGID, keep, stranger, keep)
		}
		if errno == 0 {
			_, _, errno = unix.RawSyscall(unix.SYS_SETRESUID, keep, stranger, keep)
		}
		if errno == 0 {
			f()
		}
		done <- errno
	}()
	if errno := <-done; errno != 0 {
		t.Fatalf("become another user: %v", errno)
	}
}

type folder struct {
	fs.FileInfo
	uid uint32
}

func (f folder) Sys() any { return &syscall.Stat_t{Uid: f.uid} }

func TestWhoIsBelieved(t *testing.T) {
	me := uint32(os.Geteuid())
	for _, c := range []struct {
		listens, owns uint32
		want          bool
	}{
		{me, me + 1, true}, {me + 1, me + 1, true}, {0, me + 1, true}, {me + 2, me + 1, false}, {me + 1, me, false},
	} {
		if got := believed(c.listens, folder{uid: c.owns}); got != c.want {
			t.Errorf("%d, who listens in a folder of %d, is believed by %d: %v", c.listens, c.owns, me, got)
		}
	}
}

// TestStrangerListens has another user listen first, where he once could, and
// keep the socket after the folder was mended.
func TestStrangerListens(t *testing.T) {
	if os.Geteuid() != 0 {
		return // there is nobody else to listen
	}
	path := socketPath(t)
	if err := os.Chmod(filepath.Dir(path), 0o777|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	var l net.Listener
	var err error
	asStranger(t, func() { l, err = net.Listen("unix", path) })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	session := &Session{Socket: path, Within: time.Second}
	if _, err := session.RunOnce(within(t), "status", RunOptions{}); bot.KindOf(err) != bot.Invalid {
		t.Errorf("where everybody may write, a session gave %v", err)
	}
	if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err = session.RunOnce(within(t), "status", RunOptions{})
	if bot.KindOf(err) != bot.Denied || !strings.Contains(err.Error(), "user 4242 listens on "+path+" and is neither you, root nor the owner") {
		t.Errorf("a session gave %v", err)
	}
	if err := Reach(within(t), path); bot.KindOf(err) != bot.Denied {
		t.Errorf("Reach gave %v", err)
	}
}

func TestReach(t *testing.T) {
	path := socketPath(t)
	dir := filepath.Dir(path)
	if err := Reach(within(t), path); bot.KindOf(err) != bot.Unavailable {
		t.Errorf("without a bot: %v", err)
	}
	if err := Reach(within(t), filepath.Join(dir, "none", "s")); bot.KindOf(err) != bot.Unavailable {
		t.Errorf("without a folder: %v", err)
	}
	serve(t, Options{Socket: path}, newTestBot(scripted))
	if err := Reach(within(t), path); err != nil {
		t.Error(err)
	}
	owner := userName(uint32(os.Geteuid()))
	refused := func(socket, folder fs.FileMode, want string) {
		t.Helper()
		if err := os.Chmod(dir, folder); err != nil {
			t.Fatal(err)
		}
		if socket != 0o777 {
			if err := os.Chmod(path, socket); err != nil {
				t.Fatal(err)
			}
		}
		asStranger(t, func() {
			err := Reach(within(t), path)
			if bot.KindOf(err) != bot.Denied || !strings.Contains(err.Error(), want) {
				t.Errorf("gave %v, want %q", err, want)
			}
		})
	}
	refused(0o400, 0o711, "it is of "+owner+` alone; [bot] socket_group = "GROUP" opens it to a group`)
	refused(0o060, 0o711, "it is of "+owner+" and the group "+groupName(uint32(os.Getegid()))+"; join that group")
	refused(0o777, 0, "the folder "+dir+" is of "+owner+" and you may not enter it")
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

// TestOthersCouldListen refuses a folder in which anybody can make files, also
// where they cannot remove those of others.
func TestOthersCouldListen(t *testing.T) {
	for _, mode := range []fs.FileMode{0o777, 0o777 | fs.ModeSticky, 0o770, 0o702} {
		path := socketPath(t)
		if err := os.Chmod(filepath.Dir(path), mode); err != nil {
			t.Fatal(err)
		}
		n, err := New(Options{Socket: path})
		if err != nil {
			t.Fatal(err)
		}
		for who, err := range map[string]error{"serve": n.Run(within(t), newTestBot(scripted)), "a session": Reach(within(t), path)} {
			if bot.KindOf(err) != bot.Invalid || !strings.Contains(err.Error(), "others can write to "+filepath.Dir(path)) || !strings.Contains(err.Error(), "chmod go-w") {
				t.Errorf("%v: %s gave %v", mode, who, err)
			}
		}
	}
}

func TestLockFollowsNoLink(t *testing.T) {
	path := socketPath(t)
	aim := filepath.Join(filepath.Dir(path), "precious")
	for name, make := range map[string]func(string) error{
		"a link":   func(lock string) error { return os.Symlink(aim, lock) },
		"a folder": func(lock string) error { return os.Mkdir(lock, 0o700) },
		"a pipe":   func(lock string) error { return unix.Mkfifo(lock, 0o600) },
	} {
		if err := make(path + ".lock"); err != nil {
			t.Fatal(err)
		}
		n, err := New(Options{Socket: path})
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Run(within(t), newTestBot(scripted)); bot.KindOf(err) != bot.Invalid || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("%s gave %v", name, err)
		}
		if _, err := os.Lstat(aim); err == nil {
			t.Errorf("%s was followed", name)
		}
		if err := os.Remove(path + ".lock"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSocketGroup(t *testing.T) {
	gid := uint32(os.Getegid())
	group := groupName(gid)
	if os.Geteuid() == 0 {
		group = "daemon"
		g, err := user.LookupGroup(group)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(g.Gid)
		if err != nil {
			t.Fatal(err)
		}
		gid = uint32(n)
	}
	path := filepath.Join(filepath.Dir(socketPath(t)), "new", "s")
	serve(t, Options{Socket: path, Group: group}, newTestBot(scripted))
	for name, want := range map[string]fs.FileMode{path: 0o660 | fs.ModeSocket, filepath.Dir(path): 0o750 | fs.ModeDir} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, has, _ := ownersOf(info); info.Mode() != want || has != gid {
			t.Errorf("%s has mode %v and the group %d, want %v and %d", name, info.Mode(), has, want, gid)
		}
	}
	dial(t, path).session(secret)

	n, err := New(Options{Socket: socketPath(t), Group: "no-such-group"})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Run(within(t), newTestBot(scripted)); bot.KindOf(err) != bot.Invalid || !strings.Contains(err.Error(), `this machine has no such group; make it with: groupadd no-such-group`) {
		t.Errorf("an unknown group gave %v", err)
	}
}
