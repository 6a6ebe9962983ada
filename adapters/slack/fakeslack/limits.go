package fakeslack

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Slack's limits, from the reference pages of Block Kit; lengths are in
// characters.
const (
	maxText        = 4000 // advised for text; chat.update refuses more
	maxBlocks      = 50
	maxViewBlocks  = 100
	maxBlocksTotal = 13200 // not documented; seen as msg_blocks_too_long
	maxSection     = 3000
	maxFields      = 10
	maxField       = 2000
	maxHeader      = 150
	maxElements    = 25
	maxContext     = 10
	maxButton      = 75
	maxValue       = 2000
	maxID          = 255
	maxView        = 250 << 10
	maxPrivate     = 3000
	maxTitle       = 24
	maxOptions     = 100
	maxOption      = 75
	maxRows        = 100
	maxColumns     = 20
)

// mention finds what would notify somebody or hide an address behind words.
var mention = regexp.MustCompile(`<(!|@|#|https?:[^>]*\|)`)

type block struct {
	Type     string            `json:"type"`
	BlockID  string            `json:"block_id"`
	Text     *textObject       `json:"text"`
	Fields   []textObject      `json:"fields"`
	Elements []json.RawMessage `json:"elements"`
	Element  json.RawMessage   `json:"element"`
	Label    *textObject       `json:"label"`
	Hint     *textObject       `json:"hint"`
	Optional bool              `json:"optional"`
	Rows     [][]struct {
		Type string `json:"type"`
		Text string `json:"text"`
	} `json:"rows"`
	Accessory json.RawMessage `json:"accessory"`
	AltText   string          `json:"alt_text"`
}

type textObject struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type element struct {
	Type     string      `json:"type"`
	ActionID string      `json:"action_id"`
	Text     interface{} `json:"text"`
	Value    string      `json:"value"`
	Style    string      `json:"style"`
	Confirm  *struct {
		Title   textObject `json:"title"`
		Text    textObject `json:"text"`
		Confirm textObject `json:"confirm"`
		Deny    textObject `json:"deny"`
	} `json:"confirm"`
	Options []struct {
		Text  textObject `json:"text"`
		Value string     `json:"value"`
	} `json:"options"`
}

// length counts characters as Slack does, which counts them escaped.
func length(s string) int {
	return utf8.RuneCountInString(s) + 4*strings.Count(s, "&") + 3*strings.Count(s, "<") + 3*strings.Count(s, ">")
}

func long(s string, most int) bool { return utf8.RuneCountInString(s) > most }

// checkContent checks a message's text and blocks. The lock is held.
func (s *Server) checkContent(args url.Values) string {
	text, blocks := args.Get("text"), args.Get("blocks")
	if text == "" && (blocks == "" || blocks == "null") {
		return "no_text"
	}
	if blocks != "" && blocks != "null" && text == "" {
		s.note("blocks without a fallback text, which notifications show")
	}
	if long(text, maxText) {
		return "msg_too_long"
	}
	if m := mention.FindString(text); m != "" {
		s.note("text that is not escaped: %q in %.200q", m, text)
	}
	if args.Get("parse") == "full" || args.Get("link_names") == "true" || args.Get("link_names") == "1" {
		s.note("a message that has Slack look for names")
	}
	if blocks == "" || blocks == "null" {
		return ""
	}
	if m := unescaped([]byte(blocks)); m != "" {
		s.note("a block that is not escaped: %.200q", m)
	}
	return checkBlocks([]byte(blocks), maxBlocks)
}

func checkBlocks(raw []byte, most int) string {
	var list []block
	if err := json.Unmarshal(raw, &list); err != nil {
		return "invalid_blocks_format"
	}
	if len(list) > most {
		return "invalid_blocks"
	}
	total, seen := 0, map[string]bool{}
	for _, b := range list {
		n, ok := checkBlock(b)
		if !ok || long(b.BlockID, maxID) || b.BlockID != "" && seen[b.BlockID] {
			return "invalid_blocks"
		}
		seen[b.BlockID] = true
		total += n
	}
	if total > maxBlocksTotal {
		return "msg_blocks_too_long"
	}
	return ""
}

// unescaped gives the first mrkdwn text anywhere in blocks that would notify
// somebody or hide an address. Plain and rich text are shown as they are.
func unescaped(raw json.RawMessage) string {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		for _, r := range list {
			if m := unescaped(r); m != "" {
				return m
			}
		}
		return ""
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return ""
	}
	var t textObject
	if json.Unmarshal(raw, &t) == nil && t.Type == "mrkdwn" && mention.MatchString(t.Text) {
		return t.Text
	}
	for _, r := range fields {
		if m := unescaped(r); m != "" {
			return m
		}
	}
	return ""
}

// checkBlock gives the length of the block's texts and whether it is within
// the limits.
func checkBlock(b block) (total int, ok bool) {
	count := func(t *textObject, most int) bool {
		if t == nil {
			return true
		}
		total += length(t.Text)
		return t.Text != "" && !long(t.Text, most) && (t.Type == "plain_text" || t.Type == "mrkdwn")
	}
	switch b.Type {
	case "section":
		if b.Text == nil && len(b.Fields) == 0 || !count(b.Text, maxSection) || len(b.Fields) > maxFields {
			return total, false
		}
		for i := range b.Fields {
			if !count(&b.Fields[i], maxField) {
				return total, false
			}
		}
		return total, len(b.Accessory) == 0 || checkElement(b.Accessory)
	case "header":
		return total, b.Text != nil && b.Text.Type == "plain_text" && count(b.Text, maxHeader)
	case "context":
		if len(b.Elements) == 0 || len(b.Elements) > maxContext {
			return total, false
		}
		for _, e := range b.Elements {
			var t textObject
			if json.Unmarshal(e, &t) != nil || t.Type != "image" && !count(&t, maxSection) {
				return total, false
			}
		}
	case "actions":
		if len(b.Elements) == 0 || len(b.Elements) > maxElements {
			return total, false
		}
		for _, e := range b.Elements {
			if !checkElement(e) {
				return total, false
			}
		}
	case "input":
		return total, b.Label != nil && count(b.Label, 2000) && checkElement(b.Element)
	case "table":
		if len(b.Rows) == 0 || len(b.Rows) > maxRows {
			return total, false
		}
		for _, row := range b.Rows {
			if len(row) == 0 || len(row) > maxColumns || len(row) != len(b.Rows[0]) {
				return total, false
			}
			for _, cell := range row {
				total += length(cell.Text)
				if cell.Type == "raw_text" && cell.Text == "" {
					return total, false
				}
			}
		}
	case "rich_text", "divider":
		for _, e := range b.Elements {
			total += length(richText(e))
		}
	case "image":
		return total, b.AltText != "" && !long(b.AltText, 2000)
	default:
		return total, false
	}
	return total, true
}

// richText gives the text within a rich text element.
func richText(raw json.RawMessage) string {
	var d struct {
		Text     string            `json:"text"`
		Elements []json.RawMessage `json:"elements"`
	}
	if json.Unmarshal(raw, &d) != nil {
		return ""
	}
	var all strings.Builder
	all.WriteString(d.Text)
	for _, e := range d.Elements {
		all.WriteString(richText(e))
	}
	return all.String()
}

func checkElement(raw json.RawMessage) bool {
	var e element
	if json.Unmarshal(raw, &e) != nil || long(e.ActionID, maxID) || long(e.Value, maxValue) {
		return false
	}
	if c := e.Confirm; c != nil {
		for t, most := range map[textObject]int{c.Title: 100, c.Text: 300, c.Confirm: 30, c.Deny: 30} {
			if t.Text == "" || long(t.Text, most) {
				return false
			}
		}
	}
	switch e.Type {
	case "button":
		t, ok := e.Text.(map[string]any)
		label, _ := t["text"].(string)
		return ok && label != "" && !long(label, maxButton) && (e.Style == "" || e.Style == "primary" || e.Style == "danger")
	case "static_select", "radio_buttons", "checkboxes":
		if len(e.Options) == 0 || len(e.Options) > maxOptions {
			return false
		}
		for _, o := range e.Options {
			if o.Text.Text == "" || long(o.Text.Text, maxOption) || o.Value == "" || long(o.Value, maxOption) {
				return false
			}
		}
	case "plain_text_input", "external_select", "number_input":
	default:
		return false
	}
	return true
}

// findAction finds the button whose action id, value or label is name.
func findAction(blocks json.RawMessage, name string) (map[string]any, bool) {
	var list []block
	if json.Unmarshal(blocks, &list) != nil {
		return nil, false
	}
	for _, b := range list {
		elements := b.Elements
		if len(b.Accessory) > 0 {
			elements = append(elements, b.Accessory)
		}
		for _, raw := range elements {
			var e map[string]any
			if json.Unmarshal(raw, &e) != nil || e["type"] != "button" {
				continue
			}
			t, _ := e["text"].(map[string]any)
			if e["action_id"] == name || e["value"] == name || t["text"] == name {
				e["block_id"] = b.BlockID
				return e, true
			}
		}
	}
	return nil, false
}

// elementType gives the type of an input of a form.
func elementType(view json.RawMessage, blockID, actionID string) string {
	var d struct {
		Blocks []block `json:"blocks"`
	}
	if json.Unmarshal(view, &d) != nil {
		return ""
	}
	for _, b := range d.Blocks {
		var e element
		if b.BlockID == blockID && json.Unmarshal(b.Element, &e) == nil && e.ActionID == actionID {
			return e.Type
		}
	}
	return ""
}

// fileOf reads an uploaded file, which comes as a form or as it is.
func fileOf(r *http.Request) ([]byte, error) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		return io.ReadAll(io.LimitReader(r.Body, 16<<20))
	}
	parts := multipart.NewReader(r.Body, params["boundary"])
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("no file")
		}
		if err != nil {
			return nil, err
		}
		if part.FileName() != "" {
			return io.ReadAll(io.LimitReader(part, 16<<20))
		}
	}
}
