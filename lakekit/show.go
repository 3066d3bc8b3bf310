package lakekit

import (
	"fmt"
	"os"
	"strings"

	"github.com/janpfeifer/gonb/gonbui"
	"github.com/janpfeifer/gonb/gonbui/protocol"

	"taxilake/lakekit/api"
)

// Must returns the value of a call that succeeded. Where it failed, it shows the
// error and ends the cell, or the program, with exit status 1.
func Must[T any](value T, err error) T {
	if err != nil {
		fail(err)
	}
	return value
}

// Show shows values one below the other: as pictures and tables in a notebook,
// as text in a terminal. It takes the results of a call as they are, as in
// lakekit.Show(lab.SQL("select ...")): an error among them, or a failed check,
// is shown and ends the cell with exit status 1.
func Show(values ...any) {
	// A call that failed returns no value worth showing beside its error.
	for _, value := range values {
		if err, ok := value.(error); ok {
			fail(err)
		}
	}
	failed := false
	for _, value := range values {
		if value == nil {
			continue
		}
		v := api.ViewOf(value)
		display(v)
		failed = failed || v.Failed
	}
	if failed {
		end()
	}
}

// Text is what Show prints in a terminal.
func Text(value any) string { return api.ViewOf(value).Text }

func display(v api.View) {
	if !gonbui.IsNotebook {
		fmt.Println(strings.TrimRight(v.Text, "\n"))
		return
	}
	gonbui.SendData(&protocol.DisplayData{Data: map[protocol.MIMEType]any{
		protocol.MIMETextHTML:  v.HTML,
		protocol.MIMETextPlain: v.Text,
	}})
	// A cell that ends at once loses what is still in the pipe.
	gonbui.Sync()
}

// fail tells the error to the student and ends the cell. Notebooks show what
// comes on standard error in red and letter under letter, as the mark below a
// mistake in a statement needs it.
func fail(err error) {
	fmt.Fprintln(os.Stderr, "error:", err)
	end()
}

// end is os.Exit(1), after what was shown has arrived.
var end = func() {
	if gonbui.IsNotebook {
		gonbui.Sync()
	}
	os.Exit(1)
}
