// Package datasets embeds the data the project ships: the parameters of the
// taxi record generator and a small generated sample. README.md in this
// folder says what each file holds and where its figures come from.
package datasets

import _ "embed"

// Profile is the generator's parameter file, profile.json.
//
//go:embed profile.json
var Profile string

// Sample is sample.csv: rows 0 to 999 of the generator's seed 1, with the
// header and the columns of the real file.
//
//go:embed sample.csv
var Sample string
