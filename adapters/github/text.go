package githubprovider

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLink bounds an address that is shown.
const maxLink = 500

// plain makes one short line of what somebody wrote at GitHub.
func plain(text string, max int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	return cut(strings.Join(strings.Fields(text), " "), max)
}

// cut keeps the first max characters, whole ones.
func cut(text string, max int) string {
	if utf8.RuneCountInString(text) <= max {
		return text
	}
	runes := []rune(text)
	return string(runes[:max-3]) + "..."
}

func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// link gives an address that may be shown to people, "" for anything else.
func link(text string) string {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxLink || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return text
}

// refName reports whether a text may be the name of a branch or tag, and is safe
// as a part of an address.
func refName(text string) bool {
	if text == "" || len(text) > 200 || strings.Contains(text, "..") || strings.Contains(text, "//") || strings.HasPrefix(text, "/") || strings.HasSuffix(text, "/") {
		return false
	}
	for _, r := range text {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-/+@=", r)) {
			return false
		}
	}
	return true
}
