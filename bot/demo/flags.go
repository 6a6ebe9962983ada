package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// The files by which the shop reads its flags from the bot.
const (
	flagsAddressFile = "flags-address" // where the bot answers
	flagKeyFile      = "flag-key-"     // and the environment: what the shop shows there
)

// writeFlagFiles makes the key of each environment and chooses where the bot
// answers, a free port of this machine; it gives that address.
func writeFlagFiles(dir string) (address string, err error) {
	for _, environment := range []string{"staging", "prod"} {
		var key [24]byte
		rand.Read(key[:]) // never fails, crypto/rand documents
		if err := os.WriteFile(filepath.Join(dir, flagKeyFile+environment), []byte(hex.EncodeToString(key[:])+"\n"), 0o600); err != nil {
			return "", fmt.Errorf("write a flag key: %w", err)
		}
	}
	return freeAddress(filepath.Join(dir, flagsAddressFile))
}

// freeAddress chooses a free port of this machine, and keeps its address in a file.
func freeAddress(path string) (address string, err error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	address = free.Addr().String()
	if err := free.Close(); err != nil {
		return "", err
	}
	return address, os.WriteFile(path, []byte(address+"\n"), 0o600)
}

// shopArguments gives how an instance of the shop is started that reads its flags
// from the bot. A folder of an earlier demo may have none.
func shopArguments(exe, dir string) ([]string, error) {
	raw, err := os.ReadFile(filepath.Join(dir, flagsAddressFile))
	if errors.Is(err, fs.ErrNotExist) {
		return []string{exe, "shop"}, nil
	}
	if err != nil {
		return nil, err
	}
	return []string{exe, "shop", "--flags", "http://" + strings.TrimSpace(string(raw)), "--flag-keys", filepath.Join(dir, flagKeyFile)}, nil
}
