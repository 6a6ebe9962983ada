package bot_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"quarterdeck/bot"
)

// TestEachReachesEveryText keeps Card.Each complete: a text that is added to Card
// is either given to it or named here as one that is not people's.
func TestEachReachesEveryText(t *testing.T) {
	var c bot.Card
	fill(reflect.ValueOf(&c).Elem())
	before := fmt.Sprintf("%+v %+v %+v", c, *c.Table, *c.Progress)
	var left []string
	unchanged("", reflect.ValueOf(c.Each(func(string) string { return "hidden" })), &left)
	if after := fmt.Sprintf("%+v %+v %+v", c, *c.Table, *c.Progress); after != before {
		t.Errorf("the card itself was changed:\n%s\n%s", before, after)
	}
	want := []string{".About.Channel", ".About.Key", ".Buttons.Label", ".Buttons.Not", ".Buttons.Token", ".Fields.Name", ".Image.Name", ".Key", ".Mention", ".Outcome", ".Phase", ".ReplyTo", ".State", ".Table.Columns", ".Tone"}
	slices.Sort(left)
	if !slices.Equal(left, want) {
		t.Errorf("Each leaves %q, not %q", left, want)
	}
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("secret")
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	}
}

func unchanged(at string, v reflect.Value, left *[]string) {
	switch v.Kind() {
	case reflect.String:
		if v.String() == "secret" {
			*left = append(*left, at)
		}
	case reflect.Pointer:
		unchanged(at, v.Elem(), left)
	case reflect.Slice:
		unchanged(at, v.Index(0), left)
	case reflect.Struct:
		for i := range v.NumField() {
			unchanged(at+"."+v.Type().Field(i).Name, v.Field(i), left)
		}
	}
}
