package config

import "reflect"

// FileType is the structure of the file, for tests that enumerate its keys.
var FileType = reflect.TypeOf(file{})

// BoundsType is the structure of what a scale table allows.
var BoundsType = reflect.TypeOf(bounds{})
