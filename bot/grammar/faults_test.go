package grammar_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/grammar"
)

// faults are the ways in which one argument can be wrong. "wrong case" is the
// right word in the wrong letters, "another sort" a word that would fit an
// argument of another type.
func faults() []string {
	return []string{"missing", "empty", "blank", "unknown", "near miss", "malformed", "another sort", "too long",
		"control character", "wrong case", "surplus", "option without value", "option twice", "option empty"}
}

// row is what one fault in one type says; says is "" where the type has
// nothing against it, and then reads is the canonical line.
type row struct{ typed, says, reads string }

// long is a word that no type but free text has a use for.
func long() string { return strings.Repeat("9", 300) }

const clipped = `"999999999999999999999999999999999999999…"`

// badInput has one row for every fault of every type; "take" takes the type by
// position and "opt" as the option --x.
func badInput() map[bot.ParamType]map[string]row {
	return map[bot.ParamType]map[string]row{
		bot.TypeService: {
			"missing":              {typed: "take", says: "take needs a SERVICE: take SERVICE"},
			"empty":                {typed: `take ""`, says: "the SERVICE is empty: take SERVICE"},
			"blank":                {typed: `take " "`, says: "the SERVICE is empty: take SERVICE"},
			"unknown":              {typed: "take warehouse", says: `there is no service "warehouse"; there are billing, shop and zoë`},
			"near miss":            {typed: "take shpo", says: `there is no service "shpo"; did you mean "shop"?`},
			"malformed":            {typed: "take /shop", says: `take takes a service alone, not "/shop"`},
			"another sort":         {typed: "take #12", says: `there is no service "#12"; there are billing, shop and zoë`},
			"too long":             {typed: "take " + long(), says: "there is no service " + clipped + "; there are billing, shop and zoë"},
			"control character":    {typed: "take sh\x01op", says: "character 8 is a control character (U+0001); type the line again without it"},
			"wrong case":           {typed: "take Shop", says: `there is no service "Shop"; did you mean "shop"?`},
			"surplus":              {typed: "take shop shop", says: `"shop" is one word too many: take SERVICE`},
			"option without value": {typed: "opt --service", says: "--service needs a value: --service SERVICE"},
			"option twice":         {typed: "opt --service shop --service shop", says: "--service is given twice; give it once"},
			"option empty":         {typed: "opt --service=", says: "the value of --service is empty: --service SERVICE"},
		},
		bot.TypeEnvironment: {
			"missing":              {typed: "take", says: "take needs an ENV: take ENV"},
			"empty":                {typed: `take ""`, says: "the ENV is empty: take ENV"},
			"blank":                {typed: `take " "`, says: "the ENV is empty: take ENV"},
			"unknown":              {typed: "take moon", says: `there is no environment "moon"; there are staging, prod and lab`},
			"near miss":            {typed: "take prd", says: `there is no environment "prd"; there are staging, prod and lab; did you mean "prod"?`},
			"malformed":            {typed: "take shop/prod", says: `there is no environment "shop/prod"; there are staging, prod and lab`},
			"another sort":         {typed: "take shop", says: `there is no environment "shop"; there are staging, prod and lab`},
			"too long":             {typed: "take " + long(), says: "there is no environment " + clipped + "; there are staging, prod and lab"},
			"control character":    {typed: "take pr\x01od", says: "character 8 is a control character (U+0001); type the line again without it"},
			"wrong case":           {typed: "take PROD", says: `there is no environment "PROD"; there are staging, prod and lab; did you mean "prod"?`},
			"surplus":              {typed: "take prod prod", says: `"prod" is one word too many: take ENV`},
			"option without value": {typed: "opt --environment", says: "--environment needs a value: --environment ENV"},
			"option twice":         {typed: "opt --environment prod --environment lab", says: "--environment is given twice; give it once"},
			"option empty":         {typed: "opt --environment=", says: "the value of --environment is empty: --environment ENV"},
		},
		bot.TypeVersion: {
			"missing":              {typed: "take", says: "take needs a VERSION: take VERSION"},
			"empty":                {typed: `take ""`, says: "the VERSION is empty: take VERSION"},
			"blank":                {typed: `take " "`, says: "the VERSION is empty: take VERSION"},
			"unknown":              {typed: "take v999", reads: "take v999"}, // only its Deployer can know
			"near miss":            {typed: "take latset", reads: "take latset"},
			"malformed":            {typed: "take v2;reboot", says: `"v2;reboot" is not a version; write one word of letters, digits and ._-+/:@~^ such as v2, latest or #12`},
			"another sort":         {typed: "take prod", reads: "take prod"}, // what is live there
			"too long":             {typed: "take " + long(), says: "the version " + clipped + " is 300 bytes long; the most is 200"},
			"control character":    {typed: "take v\x012", says: "character 7 is a control character (U+0001); type the line again without it"},
			"wrong case":           {typed: "take V2", reads: "take V2"},
			"surplus":              {typed: "take v2 v3", says: `"v3" is one word too many: take VERSION`},
			"option without value": {typed: "opt --version", says: "--version needs a value: --version VERSION"},
			"option twice":         {typed: "opt --version v2 --version v2", says: "--version is given twice; give it once"},
			"option empty":         {typed: "opt --version=", says: "the value of --version is empty: --version VERSION"},
		},
		bot.TypeRun: {
			"missing":              {typed: "take", says: "take needs a RUN: take RUN"},
			"empty":                {typed: `take ""`, says: "the RUN is empty: take RUN"},
			"blank":                {typed: `take " "`, says: "the RUN is empty: take RUN"},
			"unknown":              {typed: "take 0", says: `"0" is not a run; write its number: 12 or #12`},
			"near miss":            {typed: "take ##12", says: `"##12" is not a run; write its number: 12 or #12`},
			"malformed":            {typed: "take 1.5", says: `"1.5" is not a run; write its number: 12 or #12`},
			"another sort":         {typed: "take -3", says: `"-3" is not a run; write its number: 12 or #12`},
			"too long":             {typed: "take " + long(), says: clipped + " is not a run; write its number: 12 or #12"},
			"control character":    {typed: "take 1\x012", says: "character 7 is a control character (U+0001); type the line again without it"},
			"wrong case":           {typed: "take １２", says: `"１２" is not a run; write its number: 12 or #12`},
			"surplus":              {typed: "take 1 2", says: `"2" is one word too many: take RUN`},
			"option without value": {typed: "opt --run", says: "--run needs a value: --run RUN"},
			"option twice":         {typed: "opt --run 1 --run 1", says: "--run is given twice; give it once"},
			"option empty":         {typed: "opt --run=", says: "the value of --run is empty: --run RUN"},
		},
		bot.TypePerson: {
			"missing":              {typed: "take", says: "take needs a PERSON: take PERSON"},
			"empty":                {typed: `take ""`, says: "the PERSON is empty: take PERSON"},
			"blank":                {typed: `take " "`, says: "the PERSON is empty: take PERSON"},
			"unknown":              {typed: "take mallory", says: `there is no person "mallory"; write the name of a declared person`},
			"near miss":            {typed: "take amdin", says: `there is no person "amdin"; did you mean "admin"?`},
			"malformed":            {typed: "take @", says: "the PERSON is empty: take PERSON"},
			"another sort":         {typed: "take slack:T1/U1", says: `there is no person "slack:T1/U1"; write the name of a declared person`},
			"too long":             {typed: "take " + long(), says: "there is no person " + clipped + "; write the name of a declared person"},
			"control character":    {typed: "take ad\x01min", says: "character 8 is a control character (U+0001); type the line again without it"},
			"wrong case":           {typed: "take Admin", says: `there is no person "Admin"; did you mean "admin"?`},
			"surplus":              {typed: "take admin sre", says: `"sre" is one word too many: take PERSON`},
			"option without value": {typed: "opt --person", says: "--person needs a value: --person PERSON"},
			"option twice":         {typed: "opt --person sre --person sre", says: "--person is given twice; give it once"},
			"option empty":         {typed: "opt --person=", says: "the value of --person is empty: --person PERSON"},
		},
		bot.TypeChoice: {
			"missing":              {typed: "take", says: "take needs one of red, green or blue: take red|green|blue"},
			"empty":                {typed: `take ""`, says: "the CHOICE is empty: take red|green|blue"},
			"blank":                {typed: `take " "`, says: "the CHOICE is empty: take red|green|blue"},
			"unknown":              {typed: "take mauve", says: `CHOICE is red, green or blue, not "mauve"`},
			"near miss":            {typed: "take gren", says: `CHOICE is red, green or blue, not "gren"; did you mean "green"?`},
			"malformed":            {typed: "take red,green", says: `CHOICE is red, green or blue, not "red,green"`},
			"another sort":         {typed: "take 12", says: `CHOICE is red, green or blue, not "12"`},
			"too long":             {typed: "take " + long(), says: "CHOICE is red, green or blue, not " + clipped},
			"control character":    {typed: "take r\x01ed", says: "character 7 is a control character (U+0001); type the line again without it"},
			"wrong case":           {typed: "take RED", says: `CHOICE is red, green or blue, not "RED"; did you mean "red"?`},
			"surplus":              {typed: "take red green", says: `"green" is one word too many: take red|green|blue`},
			"option without value": {typed: "opt --choice", says: "--choice needs a value: --choice red|green|blue"},
			"option twice":         {typed: "opt --choice red --choice red", says: "--choice is given twice; give it once"},
			"option empty":         {typed: "opt --choice=", says: "the value of --choice is empty: --choice red|green|blue"},
		},
		bot.TypeCount: {
			"missing":              {typed: "take", says: "take needs a COUNT: take COUNT"},
			"empty":                {typed: `take ""`, says: "the COUNT is empty: take COUNT"},
			"blank":                {typed: `take " "`, says: "the COUNT is empty: take COUNT"},
			"unknown":              {typed: "take many", says: `"many" is not a count; write a whole number of 0 or more`},
			"near miss":            {typed: "take 1000000001", says: `"1000000001" is too large; the most is 1000000000`},
			"malformed":            {typed: "take 1.5", says: `"1.5" is not a count; write a whole number of 0 or more`},
			"another sort":         {typed: "take -3", says: `"-3" is not a count; write a whole number of 0 or more`},
			"too long":             {typed: "take " + long(), says: clipped + " is too large; the most is 1000000000"},
			"control character":    {typed: "take 1\x012", says: "character 7 is a control character (U+0001); type the line again without it"},
			"wrong case":           {typed: "take 1E3", says: `"1E3" is not a count; write a whole number of 0 or more`},
			"surplus":              {typed: "take 1 2", says: `"2" is one word too many: take COUNT`},
			"option without value": {typed: "opt --count", says: "--count needs a value: --count N"},
			"option twice":         {typed: "opt --count 1 --count 1", says: "--count is given twice; give it once"},
			"option empty":         {typed: "opt --count=", says: "the value of --count is empty: --count N"},
		},
		bot.TypeDuration: {
			"missing":              {typed: "take", says: "take needs a DURATION: take DURATION"},
			"empty":                {typed: `take ""`, says: "the DURATION is empty: take DURATION"},
			"blank":                {typed: `take " "`, says: "the DURATION is empty: take DURATION"},
			"unknown":              {typed: "take 5y", says: `"5y" is not a duration; write 90s, 30m, 6h, 2d or 1w`},
			"near miss":            {typed: "take 0s", says: `"0s" is not a duration; write 90s, 30m, 6h, 2d or 1w`},
			"malformed":            {typed: "take 30m1h", says: `"30m1h" is not a duration; write 90s, 30m, 6h, 2d or 1w`},
			"another sort":         {typed: "take 30", says: `"30" is not a duration; write 90s, 30m, 6h, 2d or 1w`},
			"too long":             {typed: "take " + long() + "s", says: clipped + " is too long; the most is 3650d"},
			"control character":    {typed: "take 1\x01h", says: "character 7 is a control character (U+0001); type the line again without it"},
			"wrong case":           {typed: "take 6H", says: `"6H" is not a duration; write 90s, 30m, 6h, 2d or 1w`},
			"surplus":              {typed: "take 6h 2h", says: `"2h" is one word too many: take DURATION`},
			"option without value": {typed: "opt --duration", says: "--duration needs a value: --duration 6h"},
			"option twice":         {typed: "opt --duration 6h --duration 6h", says: "--duration is given twice; give it once"},
			"option empty":         {typed: "opt --duration=", says: "the value of --duration is empty: --duration 6h"},
		},
		bot.TypeText: {
			"missing":              {typed: "take", says: "take needs a TEXT: take TEXT"},
			"empty":                {typed: `take ""`, says: "the TEXT is empty: take TEXT"},
			"blank":                {typed: `take " "`, says: "the TEXT is empty: take TEXT"},
			"unknown":              {typed: "take xyzzy", reads: "take xyzzy"},
			"near miss":            {typed: "take “xyzzy plugh”", reads: `take "xyzzy plugh"`},
			"malformed":            {typed: `take "xyzzy`, says: "the quotation mark at character 6 is never closed; add one at the end of the text"},
			"another sort":         {typed: "take 12", reads: "take 12"},
			"too long":             {typed: "take " + strings.Repeat("x", 4092), says: "the line is 4097 bytes long; the most is 4096"},
			"control character":    {typed: "take \"a\x01\"", says: "character 8 is a control character (U+0001); type the line again without it"},
			"wrong case":           {typed: "take XyZzY", reads: "take XyZzY"},
			"surplus":              {typed: "take a b", says: `"b" is one word too many: take TEXT`},
			"option without value": {typed: "opt --text", says: `--text needs a value: --text "..."`},
			"option twice":         {typed: "opt --text a --text a", says: "--text is given twice; give it once"},
			"option empty":         {typed: "opt --text=", says: `the value of --text is empty: --text "..."`},
		},
		bot.TypeLine: {
			"missing":              {typed: "take", says: "take needs a LINE: take LINE..."},
			"empty":                {typed: `take ""`, reads: `take ""`}, // as typed: whoever reads it judges it
			"blank":                {typed: "take \u00a0 ", says: "take needs a LINE: take LINE..."},
			"unknown":              {typed: "take xyzzy", reads: "take xyzzy"},
			"near miss":            {typed: "take depoly shop", reads: "take depoly shop"},
			"malformed":            {typed: `take say "hi`, reads: `take say "hi`},
			"another sort":         {typed: "take 12", reads: "take 12"},
			"too long":             {typed: "take " + strings.Repeat("x", 4092), says: "the line is 4097 bytes long; the most is 4096"},
			"control character":    {typed: "take a\x01", says: "character 7 is a control character (U+0001); type the line again without it"},
			"wrong case":           {typed: "take DEPLOY", reads: "take DEPLOY"},
			"surplus":              {typed: "take a b", reads: "take a b"},
			"option without value": {typed: "take --line", says: "take has no option --line; it has none"}, // never an option
			"option twice":         {typed: "take --line a --line b", says: "take has no option --line; it has none"},
			"option empty":         {typed: "take --line=", says: "take has no option --line; it has none"},
		},
		bot.TypeWords: {
			"missing":              {typed: "take", says: "take needs a WORDS: take WORDS..."},
			"empty":                {typed: `take ""`, says: "the WORDS is empty: take WORDS..."},
			"blank":                {typed: `take " "`, says: "the WORDS is empty: take WORDS..."},
			"unknown":              {typed: "take xyzzy", reads: "take xyzzy"},
			"near miss":            {typed: "take 5% 25% evrey 30m", reads: "take 5% 25% evrey 30m"},
			"malformed":            {typed: "take 5% \"error  rate\" x", reads: "take 5% error rate x"},
			"another sort":         {typed: "take 12", reads: "take 12"},
			"too long":             {typed: "take " + strings.Repeat("x", 4092), says: "the line is 4097 bytes long; the most is 4096"},
			"control character":    {typed: "take a\x01", says: "character 7 is a control character (U+0001); type the line again without it"},
			"wrong case":           {typed: "take 5% BETA", reads: "take 5% BETA"},
			"surplus":              {typed: "take a; b", reads: `take "a; b"`},
			"option without value": {typed: "take --words", says: "take has no option --words; it has none"}, // never an option
			"option twice":         {typed: "take a --words b", says: "take has no option --words; it has none"},
			"option empty":         {typed: "take --words=", says: "take has no option --words; it has none"},
		},
		bot.TypeNumber: {
			"missing":              {typed: "take", says: "take needs a NUMBER: take NUMBER"},
			"empty":                {typed: `take ""`, says: "the NUMBER is empty: take NUMBER"},
			"blank":                {typed: `take " "`, says: "the NUMBER is empty: take NUMBER"},
			"unknown":              {typed: "take many", says: `"many" is not a number; write a whole number such as 3 or -3`},
			"near miss":            {typed: "take 3x", says: `"3x" is not a number; write a whole number such as 3 or -3`},
			"malformed":            {typed: "take 1.5", says: `"1.5" is not a number; write a whole number such as 3 or -3`},
			"another sort":         {typed: "take –3", reads: `take "-3"`}, // as a phone writes it
			"too long":             {typed: "take " + long(), says: clipped + " is too large; the most is 1000000000"},
			"control character":    {typed: "take 1\x012", says: "character 7 is a control character (U+0001); type the line again without it"},
			"wrong case":           {typed: "take 1E3", says: `"1E3" is not a number; write a whole number such as 3 or -3`},
			"surplus":              {typed: "take 1 2", says: `"2" is one word too many: take NUMBER`},
			"option without value": {typed: "opt --number", says: "--number needs a value: --number N"},
			"option twice":         {typed: "opt --number 1 --number 1", says: "--number is given twice; give it once"},
			"option empty":         {typed: "opt --number=", says: "the value of --number is empty: --number N"},
		},
		bot.TypeFlag: {
			"missing":              {typed: "opt", reads: "opt"}, // never by position
			"empty":                {typed: `opt ""`, says: `"" is one word too many: opt [--switch]`},
			"blank":                {typed: `opt " "`, says: `" " is one word too many: opt [--switch]`},
			"unknown":              {typed: "opt --swindle", says: "opt has no option --swindle; it has --switch"},
			"near miss":            {typed: "opt --swich", says: `opt has no option --swich; did you mean "--switch"?`},
			"malformed":            {typed: "opt --switch=false", says: "--switch takes no value; write --switch alone"},
			"another sort":         {typed: "opt switch", says: `"switch" is one word too many: opt [--switch]`},
			"too long":             {typed: "opt --s" + long(), says: "opt has no option --s" + strings.Repeat("9", 38) + "…; it has --switch"},
			"control character":    {typed: "opt --sw\x01itch", says: "character 9 is a control character (U+0001); type the line again without it"},
			"wrong case":           {typed: "opt --SWITCH", reads: "opt --switch"},
			"surplus":              {typed: "opt --switch on", says: `"on" is one word too many: opt [--switch]`},
			"option without value": {typed: "opt --switch", reads: "opt --switch"},
			"option twice":         {typed: "opt --switch --switch", says: "--switch is given twice; give it once"},
			"option empty":         {typed: "opt --switch=", says: "--switch takes no value; write --switch alone"},
		},
		// What is a code is judged where it is checked, and never part of the line
		// that is kept; see TakeCode.
		bot.TypeCode: {
			"missing":              {typed: "take", says: "take needs a CODE: take CODE"},
			"empty":                {typed: `take ""`, says: "the CODE is empty: take CODE"},
			"blank":                {typed: `take " "`, says: "the CODE is empty: take CODE"},
			"unknown":              {typed: "take xyzzy", reads: "take"},
			"near miss":            {typed: "take 12345", reads: "take"},
			"malformed":            {typed: "take 123-456", reads: "take"},
			"another sort":         {typed: "take shop", reads: "take"},
			"too long":             {typed: "take " + long(), reads: "take"},
			"control character":    {typed: "take 1\x012", says: "character 7 is a control character (U+0001); type the line again without it"},
			"wrong case":           {typed: "take ABC", reads: "take"},
			"surplus":              {typed: "take 123 456", says: `"456" is one word too many: take CODE`},
			"option without value": {typed: "opt --code", says: "--code needs a value: --code 123456"},
			"option twice":         {typed: "opt --code 123456 --code 123456", says: "--code is given twice; give it once"},
			"option empty":         {typed: "opt --code=", says: "the value of --code is empty: --code 123456"},
		},
	}
}

// Every parameter type that package bot declares has a row for every fault: a
// new type without rows fails here.
func TestBadInputOfEveryType(t *testing.T) {
	rows := badInput()
	declared := declaredTypes(t)
	if len(declared) != len(rows) {
		t.Errorf("%d types are declared and %d have rows", len(declared), len(rows))
	}
	for _, paramType := range declared {
		g := taking(t, paramType)
		for _, fault := range faults() {
			t.Run(string(paramType)+"/"+fault, func(t *testing.T) {
				r, ok := rows[paramType][fault]
				if !ok || r.typed == "" {
					t.Fatal("no row says what happens")
				}
				if (r.says == "") == (r.reads == "") {
					t.Fatal("the row must say either what is said or what is read")
				}
				got, err := g.Parse(r.typed)
				if said := sentence(t, err); said != r.says {
					t.Fatalf("%q says %q\n want %q", r.typed, said, r.says)
				}
				if err == nil && got.Line != r.reads {
					t.Errorf("%q reads %q, want %q", r.typed, got.Line, r.reads)
				}
				if strings.HasSuffix(r.says, ".") && !strings.HasSuffix(r.says, "...") {
					t.Error("the sentence ends in a full stop")
				}
			})
		}
		if len(rows[paramType]) != len(faults()) {
			t.Errorf("%s has %d rows for %d faults", paramType, len(rows[paramType]), len(faults()))
		}
	}
}

// taking makes a grammar of two commands that take nothing but one type.
func taking(t *testing.T, paramType bot.ParamType) *grammar.Grammar {
	t.Helper()
	p := bot.Param{Name: string(paramType), Type: paramType, Help: "something"}
	if paramType == bot.TypeChoice {
		p.Choices = []string{"red", "green", "blue"}
	}
	var commands []bot.Command
	if paramType != bot.TypeFlag {
		commands = append(commands, read(bot.Command{Name: "take", Summary: "take it", Permission: "p", Params: []bot.Param{p}}))
	}
	if paramType != bot.TypeLine && paramType != bot.TypeWords {
		commands = append(commands, read(bot.Command{Name: "opt", Summary: "take it", Permission: "p", Options: []bot.Param{p}}))
	}
	g, err := grammar.New(commands, names{})
	if err != nil {
		t.Fatalf("type %s: %v", paramType, err)
	}
	return g
}

// declaredTypes gives the value of every ParamType constant in the hub's source.
func declaredTypes(t *testing.T) []bot.ParamType {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../command.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var types []bot.ParamType
	for _, decl := range file.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			value := spec.(*ast.ValueSpec)
			if name, ok := value.Type.(*ast.Ident); !ok || name.Name != "ParamType" {
				continue
			}
			for _, v := range value.Values {
				text, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				types = append(types, bot.ParamType(text))
			}
		}
	}
	if len(types) < 11 {
		t.Fatalf("found only %q", types)
	}
	return types
}
