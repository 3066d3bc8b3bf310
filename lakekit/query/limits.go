package query

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Limits bound what one statement may take; zero is the default. A statement
// that goes beyond one is answered with an *Error of ErrLimit.
type Limits struct {
	// Memory in bytes of the process that runs the statement; default 1.5 GB, of
	// which the process itself is a tenth. From two thirds of it on, DuckDB moves to
	// disk what it can.
	Memory int64
	// Time that the statement may run, without the waiting for others and for
	// Request.Each; default 5 minutes.
	Time time.Duration
	// Result in bytes; default 32 MB. With Request.Each, of one row.
	Result int64
	// Text of the statement in bytes; default 1 MB.
	Text int64
	// Temp in bytes on disk, for what does not fit into memory; default 4 GB.
	Temp int64
	// Waiting is how many statements wait for others; default 32.
	Waiting int
	// Raise says how a limit is raised, for the end of a message; default: by its
	// field here.
	Raise func(Limit) string
}

// Limit names one of the Limits.
type Limit string

// The limits, by the fields of Limits.
const (
	LimitMemory  Limit = "Memory"
	LimitTime    Limit = "Time"
	LimitResult  Limit = "Result"
	LimitText    Limit = "Text"
	LimitTemp    Limit = "Temp"
	LimitWaiting Limit = "Waiting"
)

// ErrLimit is behind the *Error for a statement that goes beyond one of its
// limits.
var ErrLimit = errors.New("beyond a limit of statements")

// ErrBusy says that as many statements wait as may.
var ErrBusy = errors.New("too many statements wait already")

func (l Limits) withDefaults() Limits {
	set := func(limit *int64, value int64) {
		if *limit == 0 {
			*limit = value
		}
	}
	set(&l.Memory, 1_500_000_000)
	set((*int64)(&l.Time), int64(5*time.Minute))
	set(&l.Result, 32_000_000)
	set(&l.Text, 1_000_000)
	set(&l.Temp, 4_000_000_000)
	if l.Waiting == 0 {
		l.Waiting = 32
	}
	if l.Raise == nil {
		l.Raise = func(limit Limit) string { return "query.Limits." + string(limit) + " raises the limit" }
	}
	return l
}

// exceeded is the error for a statement beyond a limit; instead says what to do
// about the statement.
func (l Limits) exceeded(limit Limit, message, instead string) *Error {
	return &Error{Message: message, Hint: instead + "; " + l.Raise(limit), Err: ErrLimit}
}

func may(limit int64) string { return "the " + FormatBytes(limit) + " that one may have" }

const needLess = "ask for less: filter first, take fewer columns, count or sum instead of collecting, or LIMIT"

func (l Limits) memoryExceeded() *Error {
	return l.exceeded(LimitMemory, "the statement needs more memory than "+may(l.Memory), needLess)
}

func (l Limits) tempExceeded() *Error {
	return l.exceeded(LimitTemp, "the statement needs more room on disk than "+may(l.Temp), needLess)
}

func (l Limits) timeExceeded() *Error {
	return l.exceeded(LimitTime, fmt.Sprintf("the statement ran for %s, as long as one may, and was stopped", l.Time),
		"see with EXPLAIN what it does, filter first, or LIMIT")
}

func (l Limits) resultExceeded() *Error {
	return l.exceeded(LimitResult, "the result is larger than "+may(l.Result),
		"take fewer columns, count or sum instead of collecting, or LIMIT; `lakekit sql --format csv` gives rows without end")
}

func (l Limits) rowExceeded() *Error {
	return l.exceeded(LimitResult, "a row of the result is larger than "+may(l.Result),
		"take fewer columns, or a part of a long value, such as left(x, 1000)")
}

func (l Limits) textExceeded(length int) *Error {
	message := fmt.Sprintf("the statement is %s long, more than %s", FormatBytes(int64(length)), may(l.Text))
	return l.exceeded(LimitText, message,
		"put long lists of values into a table and join it")
}

// FormatBytes writes a size as people do, by thousands: "1.5 GB".
func FormatBytes(n int64) string {
	units := []string{"bytes", "kB", "MB", "GB", "TB"}
	size, unit := float64(n), 0
	for ; size >= 1000 && unit < len(units)-1; unit++ {
		size /= 1000
	}
	return strconv.FormatFloat(math.Round(size*100)/100, 'f', -1, 64) + " " + units[unit]
}

// limitError gives DuckDB's own words for the end of memory and disk the form of
// the other limits.
func (l Limits) limitError(err error) error {
	f, ok := readFailure(err)
	switch {
	case !ok || f.Type != "Out of Memory" && !strings.Contains(f.Message, "bad_alloc"):
		return err
	case strings.Contains(f.Message, "max_temp_directory_size"):
		return l.tempExceeded()
	}
	return l.memoryExceeded()
}
