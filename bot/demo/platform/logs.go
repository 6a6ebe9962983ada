package platform

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// LogLine is one line that an instance logged.
type LogLine struct {
	At     time.Time `json:"at"`
	Stream string    `json:"stream"`
	Text   string    `json:"text"`
}

const (
	maxLogLines = 1000
	maxLogLine  = 64 << 10
)

// serveLogs answers with the newest lines of an environment's log, oldest first.
func (s *Supervisor) serveLogs(w http.ResponseWriter, r *http.Request) {
	asked := r.URL.Query()
	e, no := s.environment(asked.Get("env"))
	if no != nil {
		s.answer(w, http.StatusNotFound, no)
		return
	}
	since, errSince := time.Parse(time.RFC3339, asked.Get("since"))
	until, errUntil := time.Parse(time.RFC3339, asked.Get("until"))
	limit, errLimit := strconv.Atoi(asked.Get("limit"))
	if errSince != nil || errUntil != nil || errLimit != nil || limit < 1 || limit > maxLogLines {
		s.answer(w, http.StatusBadRequest, refused("since and until take a time such as 2026-11-21T03:00:00Z, limit 1 to %d", maxLogLines))
		return
	}
	lines, err := e.log.lines(strings.ToLower(asked.Get("grep")), since, until, limit)
	if err != nil {
		s.answer(w, http.StatusInternalServerError, refused("the log cannot be read: %v", err))
		return
	}
	s.answer(w, http.StatusOK, map[string][]LogLine{"lines": lines})
}

// lines reads both files, the older one first; each holds at most logLimit and one
// write more.
func (l *logFile) lines(grep string, since, until time.Time, limit int) ([]LogLine, error) {
	found := []LogLine{}
	for _, path := range []string{l.path + ".1", l.path} {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		scan := bufio.NewScanner(bytes.NewReader(text))
		scan.Buffer(nil, maxLogLine)
		for scan.Scan() {
			if !strings.Contains(strings.ToLower(scan.Text()), grep) {
				continue
			}
			entry := map[string]any{}
			if json.Unmarshal(scan.Bytes(), &entry) != nil {
				continue // a stack, say, which has no time
			}
			stamp, _ := entry["time"].(string)
			at, err := time.Parse(time.RFC3339, stamp)
			if err != nil || at.Before(since) || at.After(until.Add(time.Second)) {
				continue
			}
			line := LogLine{At: at, Stream: fmt.Sprintf("%v %v", entry["version"], entry["pid"]), Text: fmt.Sprintf("%v %v", entry["level"], entry["msg"])}
			for _, k := range slices.Sorted(maps.Keys(entry)) {
				if !slices.Contains([]string{"time", "level", "msg", "service", "env", "version", "pid"}, k) {
					line.Text += fmt.Sprintf(" %s=%v", k, entry[k])
				}
			}
			if found = append(found, line); len(found) > 2*maxLogLines {
				found = append(found[:0], found[len(found)-limit:]...)
			}
		}
		if err := scan.Err(); err != nil {
			return nil, err
		}
	}
	return found[max(0, len(found)-limit):], nil
}
