package config

import "reflect"

// FileType is the structure of the file, for tests that enumerate its keys.
var FileType = reflect.TypeOf(file{})

// GuardType is the structure of a guard table.
var GuardType = reflect.TypeOf(guardTable{})

// BoundsType is the structure of what a scale table allows.
var BoundsType = reflect.TypeOf(bounds{})
