package execprovider

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

var _ provider.Eraser = (*execProvider)(nil)

// Erase implements provider.Eraser for the state folder, which every provider of
// type exec shares: what commands printed, and what shims say of how they ended.
func (p *execProvider) Erase(ctx context.Context, replace func(string) string, dryRun bool) (places []string, err error) {
	entries, err := os.ReadDir(p.state)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // nothing was run yet
	}
	if err != nil {
		return nil, stateError("the state folder cannot be read", err)
	}
	// First a look at all of them: half an erasure would be taken for a whole one.
	for _, write := range []bool{false, true} {
		if write && dryRun {
			break
		}
		places = nil
		for _, entry := range entries {
			if ctx.Err() != nil {
				return places, timeoutError(ctx.Err())
			}
			if !entry.IsDir() {
				continue
			}
			files, err := p.eraseIn(folder{filepath.Join(p.state, entry.Name())}, replace, write)
			for _, name := range files {
				places = append(places, fmt.Sprintf("file %s of operation %s", name, entry.Name()))
			}
			if err != nil {
				return places, err
			}
		}
	}
	return places, nil
}

// eraseIn is Erase for one operation's folder; without write it only looks.
func (p *execProvider) eraseIn(f folder, replace func(string) string, write bool) (changed []string, err error) {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return nil, stateError("the state folder cannot be read", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if !entry.Type().IsRegular() || strings.HasPrefix(name, tempPrefix) {
			continue
		}
		var found bool
		switch filepath.Ext(name) {
		case ".log":
			found, err = eraseText(f, name, replace, write)
		case ".exit":
			var is exit
			found, err = eraseFile(f, name, &is, replace, write, func() []*string {
				return []*string{&is.Error, &is.LastLine, &is.Progress.Message, &is.Progress.Phase, &is.Progress.URL}
			})
		case ".progress":
			var is progress
			found, err = eraseFile(f, name, &is, replace, write, func() []*string { return []*string{&is.Message, &is.Phase, &is.URL} })
		}
		if err != nil {
			return changed, stateError(name+" cannot be rewritten", err)
		}
		if found {
			changed = append(changed, name)
		}
	}
	if len(changed) == 0 || write {
		return changed, nil
	}
	boot, err := (&deployer{execProvider: p}).bootID()
	if err != nil {
		return nil, stateError("which boot this is cannot be told", err)
	}
	s, err := f.look(boot)
	if err != nil {
		return nil, stateError("the state folder cannot be read", err)
	}
	switch s.phase {
	case phaseClaimed, phaseRunning, phaseOrphaned:
		return nil, bot.Errorf(bot.Conflict, "operation %s, which prints it, goes on; erase it when that has ended, or cancel it first", filepath.Base(f.path))
	}
	return changed, nil
}

// eraseFile rewrites the texts of a file of JSON.
func eraseFile(f folder, name string, is any, replace func(string) string, write bool, texts func() []*string) (changed bool, err error) {
	if found, err := f.read(name, is); err != nil || !found {
		return false, err
	}
	for _, s := range texts() {
		if now := replace(*s); now != *s {
			*s, changed = now, true
		}
	}
	if changed && write {
		err = f.replace(name, is, true)
	}
	return changed, err
}

// eraseText rewrites a file of lines. What is not UTF-8 in it stays as it is.
func eraseText(f folder, name string, replace func(string) string, write bool) (changed bool, err error) {
	raw, err := os.ReadFile(f.file(name))
	if err != nil {
		return false, err
	}
	text := replace(string(raw))
	if changed = text != string(raw); !changed || !write {
		return changed, nil
	}
	temp, err := os.CreateTemp(f.path, tempPrefix+"*")
	if err != nil {
		return false, err
	}
	_, err = temp.WriteString(text)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), f.file(name))
	}
	if err != nil {
		return false, errors.Join(err, os.Remove(temp.Name()))
	}
	return true, syncDir(f.path)
}
