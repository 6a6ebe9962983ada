package config

import "reflect"

// FileType is the structure of the file, for tests that enumerate its keys.
var FileType = reflect.TypeOf(file{})
