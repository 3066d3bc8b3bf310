package drill

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// ErrNotExact says that records are missing or repeated after a drill.
var ErrNotExact = errors.New("the table does not hold exactly what was produced")

// Drill is a fault, and the proof that it does no harm.
type Drill struct {
	Name  string
	Short string // what is done, for people
	run   func(*site) error
}

// All drills, in the order in which they are best shown.
var All = []Drill{
	{"kill", "the server is killed (kill -9) at every step of a batch", kill},
	{"broker", "the broker is killed under load, and frozen", broker},
	{"store", "the object store is killed under load, and frozen", store},
	{"poison", "malformed records come among the good ones", poison},
	{"retention", "the topic loses records before they are read", retention},
	{"partitions", "the topic gets more partitions under load", partitions},
	{"two", "a second server streams with the same checkpoint", two},
	{"compaction", "the table is optimized, vacuumed and restored meanwhile", compaction},
}

// Options of a drill.
type Options struct {
	Records int64   // to produce, about
	Rate    float64 // records a second
}

// Run does the drill and tells out, step by step, what it does. The last line
// is the verdict, "20000 records: 0 lost, 0 twice"; if it is another one, the
// error is ErrNotExact.
func (d Drill) Run(ctx context.Context, o Options, out io.Writer) (err error) {
	fmt.Fprintf(out, "drill %s: %s\n", d.Name, d.Short)
	s, err := open(ctx, o, out)
	if err != nil {
		return fmt.Errorf("drill %s: %w", d.Name, err)
	}
	exact := false
	defer func() { // also of a panic: the services are processes of their own
		err = errors.Join(err, s.close(exact))
		switch {
		case ctx.Err() != nil:
			err = fmt.Errorf("drill %s: %w before its verdict; its services and data are gone", d.Name, ctx.Err())
		case err != nil:
			err = fmt.Errorf("drill %s: %w", d.Name, err)
		}
	}()
	if err := d.run(s); err != nil {
		return err
	}
	err = s.verdict()
	exact = err == nil
	return err
}
