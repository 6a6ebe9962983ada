package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot/config"
)

func read(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// settings gives the keys of a unit, each with all its values.
func settings(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for line := range strings.Lines(read(t, "quarterdeck.service")) {
		line = strings.TrimSpace(line)
		if key, value, is := strings.Cut(line, "="); is && !strings.HasPrefix(line, "#") {
			found[key] = append(found[key], value)
		}
	}
	return found
}

// systemd takes the unit without a word, and what it walls off is little exposed.
func TestUnitIsVerified(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("QUARTERDECK_TEST_ALL") != "" {
			t.Fatal(err)
		}
		t.Skip("systemd-analyze is not installed; .ci/systemd installs it")
	}
	// The program need not be installed here.
	text := strings.Replace(read(t, "quarterdeck.service"), "ExecStart=/usr/local/bin/quarterdeck ", "ExecStart=/bin/true ", 1)
	path := filepath.Join(t.TempDir(), "quarterdeck.service")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), analyze, "verify", path).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("verify: %v\n%s", err, out)
	}
	// The threshold is in tenths: 2.5 of 10.
	if out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--threshold=25", path).CombinedOutput(); err != nil {
		t.Errorf("security: %v\n%s", err, out)
	}
	// The check itself finds a fault.
	if err := os.WriteFile(path, []byte(strings.Replace(text, "Type=notify", "Type=notfy\nNoSuchKey=1", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, _ := exec.CommandContext(t.Context(), analyze, "verify", path).CombinedOutput(); len(out) == 0 {
		t.Error("a faulty unit passes")
	}
}

// What the bot relies on stands in the unit, whatever else is changed there.
func TestUnitKeepsItsPromises(t *testing.T) {
	got := settings(t)
	for key, want := range map[string]string{
		"Type":             "notify",      // it says when it is ready, and that it is alive
		"KillMode":         "process",     // deployments under way outlive a restart
		"Restart":          "always",      // also after an end with success
		"ProtectSystem":    "strict",      // it writes to its own folders alone
		"NoNewPrivileges":  "yes",         //
		"StateDirectory":   "quarterdeck", //
		"User":             "quarterdeck", //
		"ProtectHome":      "yes",         //
		"SystemCallFilter": "@system-service",
	} {
		if len(got[key]) == 0 || got[key][0] != want {
			t.Errorf("%s is %v, want %s", key, got[key], want)
		}
	}
	// These would end, or pull the ground from under, what outlives the bot.
	for _, key := range []string{"DynamicUser", "PrivatePIDs", "RuntimeMaxSec", "SendSIGHUP"} {
		if len(got[key]) > 0 {
			t.Errorf("%s=%v stands in the unit", key, got[key])
		}
	}
	seconds, err := strconv.Atoi(got["TimeoutStopSec"][0])
	if err != nil {
		t.Fatal(err)
	}
	if most := defaultStop(t) + 30*time.Second; time.Duration(seconds)*time.Second < most {
		t.Errorf("systemd kills after %ds, and the bot may take %s to stop", seconds, most)
	}
}

// defaultStop gives the default of stop.within.
func defaultStop(t *testing.T) time.Duration {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	text := `[bot]
database = "sqlite:q.db"
[audit]
channels = ["file:a"]
key = "file:k"
[chat.file]
[[person]]
name = "a"
accounts = ["os:1"]
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path, config.Known{Chats: []string{"file"}})
	if err != nil {
		t.Fatal(err)
	}
	if c.StopWithin <= 0 {
		t.Fatal("there is no default")
	}
	return c.StopWithin
}

// The image is built from pinned bases, runs as nobody in particular, holds no
// secret and leaves process 1 to an init.
func TestDockerfile(t *testing.T) {
	text := read(t, "Dockerfile")
	args := map[string]string{}
	var bases, users, entry []string
	static, stages := false, map[string]bool{}
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		words := strings.Fields(line)
		if len(words) < 2 || strings.HasPrefix(words[0], "#") {
			continue
		}
		switch words[0] {
		case "ARG":
			name, value, _ := strings.Cut(words[1], "=")
			args["${"+name+"}"] = value
		case "FROM":
			base := words[1]
			if value, is := args[base]; is {
				base = value
			}
			bases = append(bases, base)
			if len(words) == 4 {
				stages[words[3]] = true
			}
		case "USER":
			users = append(users, words[1])
		case "ENTRYPOINT":
			entry = words[1:]
		case "COPY":
			if from, is := strings.CutPrefix(words[1], "--from="); is && !stages[from] {
				t.Errorf("nothing is called %s", from)
			}
		case "ADD":
			t.Error("ADD fetches what nobody pinned")
		case "RUN":
			static = static || strings.Contains(line, "CGO_ENABLED=0") && strings.Contains(line, "-trimpath")
		}
		if strings.Contains(strings.ToUpper(words[0]+words[1]), "ENVQUARTERDECK") || regexp.MustCompile(`(?i)(token|password|secret)=`).MatchString(line) {
			t.Errorf("a secret would stay in the image: %s", line)
		}
	}
	pinned := regexp.MustCompile(`^[a-z/]+:\d+\.\d+(\.\d+)?-[a-z]+(@sha256:[0-9a-f]{64})?$`)
	for _, b := range bases {
		if !pinned.MatchString(b) {
			t.Errorf("the base %s is not pinned to a whole version", b)
		}
	}
	if len(bases) != 2 {
		t.Errorf("%d stages, want one to build and one to run", len(bases))
	}
	if !static {
		t.Error("the program is not built as a static one")
	}
	if len(users) == 0 || users[len(users)-1] == "root" || strings.HasPrefix(users[len(users)-1], "0") {
		t.Errorf("it runs as %v", users)
	}
	if !slices.Equal(entry, []string{`["/usr/local/bin/quarterdeck"]`}) {
		t.Errorf("it is entered by %v; a shell in between would keep SIGTERM to itself", entry)
	}
	if !strings.Contains(text, "docker run --init ") {
		t.Error("it does not say that process 1 is an init's")
	}
	// The compiler is the one that go.mod asks for, or newer.
	want := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "../../go.mod"))[1]
	if !strings.HasPrefix(bases[0], "golang:"+want) {
		t.Errorf("it is built by %s, and go.mod says go %s", bases[0], want)
	}
}
