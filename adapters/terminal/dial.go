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

	"quarterdeck/bot"
)

// Reach reports whether a bot listens on the socket and may be believed. An
// Error of kind Unavailable means that none does; of kind Denied, that the
// socket may not be opened or that somebody else listens there; of kind
// Invalid, that the path or its folder cannot be used.
func Reach(ctx context.Context, socket string) error {
	conn, err := open(ctx, socket)
	if err != nil {
		return err
	}
	return conn.Close()
}

// open connects to the bot's socket. Whoever may write to its folder could
// listen there before the bot does, so that neither such a folder is trusted
// nor anybody who listens but ourselves, root and the folder's owner.
func open(ctx context.Context, path string) (*net.UnixConn, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	folder := filepath.Dir(path)
	info, err := os.Stat(folder)
	if err != nil {
		return nil, notOpened(path, err)
	}
	if err := checkFolder("terminal.dial", folder, info); err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialWithin}
	c, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, notOpened(path, err)
	}
	conn := c.(*net.UnixConn)
	uid, err := peerUID(conn)
	if err != nil {
		conn.Close()
		return nil, &bot.Error{Op: "terminal.dial", Kind: bot.Denied, Say: fmt.Sprintf("the system does not say who listens on %s, so nothing is sent there", path), Err: err}
	}
	if !believed(uid, info) {
		conn.Close()
		return nil, &bot.Error{Op: "terminal.dial", Kind: bot.Denied,
			Say: fmt.Sprintf("%s listens on %s and is neither you, root nor the owner of %s, so nothing is sent there; ask whoever runs the bot", userName(uid), path, folder)}
	}
	return conn, nil
}

// believed reports whether a process of uid may be the bot whose socket is in
// the folder.
func believed(uid uint32, folder fs.FileInfo) bool {
	owner, _, ok := ownersOf(folder)
	return uid == 0 || int(uid) == os.Geteuid() || ok && uid == owner
}

// notOpened says why there is no connection: there is no bot, or its socket is
// not for the caller.
func notOpened(path string, err error) *bot.Error {
	if !errors.Is(err, fs.ErrPermission) {
		return &bot.Error{Op: "terminal.dial", Kind: bot.Unavailable, Err: err,
			Say: fmt.Sprintf("no bot listens on %s; start one with: quarterdeck serve", path)}
	}
	return &bot.Error{Op: "terminal.dial", Kind: bot.Denied, Err: err, Say: closed(path)}
}

// closed says whose the socket is that may not be opened, and what opens it.
func closed(path string) string {
	info, err := os.Lstat(path)
	if err == nil {
		owner, group, ok := ownersOf(info)
		switch {
		case !ok:
		case info.Mode().Perm()&0o020 != 0:
			return fmt.Sprintf("you may not open the bot's socket %s: it is of %s and the group %s; join that group", path, userName(owner), groupName(group))
		default:
			return fmt.Sprintf("you may not open the bot's socket %s: it is of %s alone; [bot] socket_group = \"GROUP\" opens it to a group", path, userName(owner))
		}
	}
	// A folder on the way may not be entered: the last that can be seen.
	for folder := filepath.Dir(path); err != nil && folder != filepath.Dir(folder); folder = filepath.Dir(folder) {
		if info, err = os.Lstat(folder); err != nil {
			continue
		}
		if owner, _, ok := ownersOf(info); ok {
			return fmt.Sprintf("you may not open the bot's socket %s: the folder %s is of %s and you may not enter it; [bot] socket is to name one in a folder that you may enter", path, folder, userName(owner))
		}
	}
	return fmt.Sprintf("you may not open the bot's socket %s; ask whoever runs the bot for [bot] socket_group", path)
}

// userName gives a user's name, or the number where there is none.
func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "user " + id
}

func groupName(gid uint32) string {
	id := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}
