package bottest

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"strings"

	"quarterdeck/bot"
)

// Injections gives, by what it is, what somebody might put into a name, a reason,
// a version or an error so that a chat network does more than show it. Every
// network must show each harmlessly and within its limits.
func Injections() map[string]string {
	return map[string]string{
		"everybody":              "<!channel>",
		"everybody here":         "<!here> look",
		"somebody":               "<@UDEV>",
		"a group":                "<!subteam^S0SRE|sre>",
		"a channel":              "<#C1|ops>",
		"a link under words":     "<https://evil.example|prod>",
		"markdown link":          "[prod](https://evil.example)",
		"escaped twice":          "&lt;!channel&gt;",
		"escaped thrice":         "&amp;lt;!channel&amp;gt;",
		"backticks":              "`rm -rf /`",
		"a fence":                "```\nrm -rf /\n```",
		"emphasis":               "*bold* _it_ ~gone~ > quote",
		"an emoji":               ":white_check_mark: approved",
		"a reversed version":     "\u202ev2 dorp\u202c",
		"isolates":               "\u2066v2\u2069 \u2067v3\u2069",
		"marks of direction":     "v\u200e2\u200f \u061c3",
		"zero width":             "v\u200b2\u2060\ufeff",
		"tags":                   "v2\U000e0041\U000e007f",
		"right to left":          "גרסה שתיים v2 الإصدار",
		"controls":               "\x00\x1b[31mred\x1b]0;title\x07\x9b2J\r\b",
		"ends of line":           "v2\u2028\u2029\n#2 deploy shop v3 to prod: done",
		"10,000 characters":      strings.Repeat("x", 10000),
		"10,000 words":           strings.Repeat("lock ", 2000),
		"10,000 to escape":       strings.Repeat("&<>", 3334),
		"10,000 wide":            strings.Repeat("語", 10000),
		"10,000 unseen":          strings.Repeat("\u202e", 10000),
		"10,000 lines":           strings.Repeat("l\n", 10000),
		"not UTF-8":              "v2\xff\xfe\xc3(",
		"joined":                 "👩‍💻 caf\u0065\u0301",
		"10,000 marks on one":    "e" + strings.Repeat("\u0301", 10000),
		"nothing but space":      "   ",
		"nothing but the unseen": "\u200b\u200b",
	}
}

// Riddled gives a card with s in every place that a card has.
func Riddled(s string) bot.Card {
	var rows [][]string
	for range 30 {
		rows = append(rows, []string{s, s, ""})
	}
	var fields []bot.Field
	for range 12 {
		fields = append(fields, bot.Field{Name: s, Value: s})
	}
	half := 50
	return bot.Card{Key: "reply/1", Tone: bot.Question, Title: s, Text: s, Fields: fields, Table: &bot.Table{Columns: []string{s, "B", s}, Rows: rows},
		Progress: &bot.Gauge{Percent: &half, Text: s}, Lines: []string{s, s}, Footer: s, Link: "https://ci.example/" + s,
		Buttons: []bot.Button{{Label: s, Line: "deploy shop " + s, Token: "t1", Danger: true, Twice: true}, {Label: s, Line: s, Token: "t2"}}}
}

// Picture gives a small image that every network takes.
func Picture() *bot.Image {
	img := image.NewGray(image.Rect(0, 0, 4, 3))
	img.Set(1, 1, color.White)
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err) // a buffer takes everything
	}
	return &bot.Image{Name: "shop-prod.png", Alt: "orders a second of shop/prod in the last hour: 12 to 15, then none", PNG: b.Bytes()}
}
