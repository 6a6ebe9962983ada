package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// textValue is one erasable value as stored beside a record. Erasing it drops
// the salt too, without which the commitment says nothing about the value.
type textValue struct {
	Salt   string `json:"salt"` // base64url
	Value  string `json:"value,omitempty"`
	Erased bool   `json:"erased,omitempty"`
}

const saltSize = 16

// noPadding is base64url that has one way only to write each value.
var noPadding = base64.RawURLEncoding.Strict()

// commit gives each value a fresh salt and the commitment to both.
func (l *Log) commit(text map[string]string) (commits map[string]string, values map[string]textValue, err error) {
	if len(text) == 0 {
		return nil, nil, nil
	}
	var few [4 * saltSize]byte
	salts := few[:]
	if n := len(text) * saltSize; n > len(salts) {
		salts = make([]byte, n)
	} else {
		salts = salts[:n]
	}
	if _, err := io.ReadFull(l.salts, salts); err != nil {
		return nil, nil, fmt.Errorf("make salts: %w", err)
	}
	commits, values = make(map[string]string, len(text)), make(map[string]textValue, len(text))
	for name, value := range text {
		salt := salts[:saltSize]
		salts = salts[saltSize:]
		commits[name] = commitment(salt, value)
		values[name] = textValue{Salt: noPadding.EncodeToString(salt), Value: value}
	}
	return commits, values, nil
}

// commitment gives base64url of SHA-256 over salt and value, each preceded by
// its length as eight bytes, big-endian.
func commitment(salt []byte, value string) string {
	var few [1024]byte
	b := binary.BigEndian.AppendUint64(few[:0], uint64(len(salt)))
	b = append(b, salt...)
	b = binary.BigEndian.AppendUint64(b, uint64(len(value)))
	b = append(b, value...)
	sum := sha256.Sum256(b)
	return noPadding.EncodeToString(sum[:])
}

// opens reports whether v is what was committed to.
func (v textValue) opens(commit string) bool {
	salt, err := noPadding.DecodeString(v.Salt)
	return err == nil && len(salt) == saltSize && commitment(salt, v.Value) == commit
}

func encodeText(values map[string]textValue) (json.RawMessage, error) {
	if len(values) == 0 {
		return json.RawMessage("{}"), nil
	}
	return encode(values)
}

func decodeText(raw json.RawMessage) (values map[string]textValue, err error) {
	if len(raw) == 0 {
		return nil, nil
	}
	err = json.Unmarshal(raw, &values)
	return values, err
}

// decodeTextStrictly is decodeText for stored text that must be exactly as it
// was written, to the byte.
func decodeTextStrictly(raw json.RawMessage) (map[string]textValue, error) {
	values, err := decodeText(raw)
	if err != nil || len(raw) == 0 {
		return values, err
	}
	again, err := encodeText(values)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, raw) {
		return nil, errors.New("not in the form it was written in")
	}
	return values, nil
}

// cleanMap gives m with clean, redacted and bounded values, without the empty
// ones.
func (l *Log) cleanMap(m map[string]string, limit int) map[string]string {
	if len(m) == 0 {
		return nil
	}
	kept := make(map[string]string, len(m))
	for name, value := range m {
		// Eight times the bound is looked at, so that a secret is not cut in
		// two before it is recognised, and a huge value costs little.
		value = cut(l.redact.redact(clean(value, 8*limit)), limit)
		if value != "" {
			kept[clean(name, maxField)] = value
		}
	}
	return kept
}

const cutMark = "… [cut]"

// cut shortens s to limit bytes, at a rune's edge and with a mark that says so.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	at := limit - len(cutMark)
	for at > 0 && !utf8.RuneStart(s[at]) {
		at--
	}
	return s[:at] + cutMark
}

// clean gives s as valid UTF-8 of at most limit bytes, without characters that
// change how the text around them is shown. Tabs and line feeds stay.
func clean(s string, limit int) string {
	if plain(s) {
		return cut(s, limit)
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == '\u2028' || r == '\u2029':
			return '\n'
		case unicode.IsControl(r) || reorders(r):
			return -1
		}
		return r
	}, s)
	return cut(s, limit)
}

func plain(s string) bool {
	for i := range len(s) {
		if (s[i] < ' ' && s[i] != '\n' && s[i] != '\t') || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// reorders reports whether r makes text read otherwise than it is written:
// bidirectional controls and invisible separators.
func reorders(r rune) bool {
	switch {
	case r >= '\u202A' && r <= '\u202E', r >= '\u2066' && r <= '\u2069', r == '\u200E', r == '\u200F', r == '\u061C',
		r == '\u200B', r == '\u2060', r == '\uFEFF':
		return true
	}
	return false
}

// listed joins names for a sentence.
func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
