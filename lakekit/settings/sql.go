package settings

import (
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// SQL are the limits of a SQL statement; zero is the default of query.Limits,
// which says what each means.
type SQL struct {
	Memory, Result, Text, Temp int64 // bytes
	Time                       time.Duration
	Waiting                    int
}

// SQLVariable is the setting of a limit, by its field in SQL.
func SQLVariable(limit string) string { return "LAKEKIT_SQL_" + strings.ToUpper(limit) }

// LoadSQL reads the limits alone: `lakekit sql` reads any folder, outside of the
// repository as well.
func LoadSQL() (SQL, error) {
	var env environment
	if home, err := findHome(); err == nil {
		if env, err = readEnvironment(filepath.Join(home, ".env")); err != nil {
			return SQL{}, err
		}
	}
	return env.sql()
}

func (e environment) sql() (s SQL, err error) {
	given := map[string]string{}
	for _, limit := range sqlLimits {
		given[limit] = e.get(SQLVariable(limit), "")
	}
	for limit, into := range map[string]*int64{"Memory": &s.Memory, "Result": &s.Result, "Text": &s.Text, "Temp": &s.Temp} {
		if *into, err = parseBytes(given[limit]); err != nil {
			return SQL{}, fmt.Errorf("%s=%q: %w", SQLVariable(limit), given[limit], err)
		}
	}
	if s.Memory != 0 && s.Memory < leastMemory {
		return SQL{}, fmt.Errorf("%s=%q: a statement needs 200MB at least", SQLVariable("Memory"), given["Memory"])
	}
	if text := given["Time"]; text != "" {
		if s.Time, err = time.ParseDuration(text); err != nil || s.Time <= 0 {
			return SQL{}, fmt.Errorf("%s=%q is no time; write it such as 90s or 10m", SQLVariable("Time"), text)
		}
	}
	if text := given["Waiting"]; text != "" {
		if s.Waiting, err = strconv.Atoi(text); err != nil || s.Waiting <= 0 {
			return SQL{}, fmt.Errorf("%s=%q is no number of statements; write it such as 32", SQLVariable("Waiting"), text)
		}
	}
	return s, nil
}

var sqlLimits = []string{"Memory", "Time", "Result", "Text", "Temp", "Waiting"}

// leastMemory is what DuckDB and its process get along with.
const leastMemory = 200_000_000

var bytesPattern = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?([kmgt]?)(i?)b?$`)

// parseBytes reads sizes such as 1.5GB and 512MiB; nothing is 0.
func parseBytes(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	match := bytesPattern.FindStringSubmatch(strings.ToLower(text))
	if match == nil || match[2] == "" && match[3] != "" {
		return 0, fmt.Errorf("not a size; write it such as 512MB or 1.5GB")
	}
	size, err := strconv.ParseFloat(match[1], 64)
	if err != nil {
		return 0, err
	}
	thousand := 1000.0
	if match[3] != "" {
		thousand = 1024
	}
	if match[2] != "" {
		size *= math.Pow(thousand, float64(1+strings.Index("kmgt", match[2])))
	}
	if size < 1 || size > 1e15 {
		return 0, fmt.Errorf("a limit is at least 1 byte, at most 1000 TB")
	}
	return int64(size), nil
}

// list gives the limits that were set.
func (s SQL) list() (list []Setting) {
	for _, limit := range []struct {
		name  string
		value int64
		text  string
	}{
		{"Memory", s.Memory, fmt.Sprint(s.Memory)}, {"Time", int64(s.Time), s.Time.String()}, {"Result", s.Result, fmt.Sprint(s.Result)},
		{"Text", s.Text, fmt.Sprint(s.Text)}, {"Temp", s.Temp, fmt.Sprint(s.Temp)}, {"Waiting", int64(s.Waiting), fmt.Sprint(s.Waiting)},
	} {
		if limit.value != 0 {
			list = append(list, Setting{SQLVariable(limit.name), limit.text})
		}
	}
	return list
}
