// Package datasets embeds the data the project ships. README.md in this folder
// says what each file holds and where its figures come from.
package datasets

import _ "embed"

// Profile is the generator's parameter file, profile.json.
//
//go:embed profile.json
var Profile string

// Published is published.json: figures of the real file that the generated
// records are held against.
//
//go:embed published.json
var Published string
