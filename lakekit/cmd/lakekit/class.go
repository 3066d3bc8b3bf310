package main

import (
	"fmt"
	"math"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"taxilake/lakekit/class"
	"taxilake/lakekit/settings"
)

func classCommand() *cobra.Command {
	var options class.Options
	var days int
	c := &cobra.Command{
		Use: "class NAME...", Short: "Make credentials for the students of a class on one Kafka and MinIO",
		Long: `Make credentials for the students of a class on one Kafka and MinIO (profile docker).

Each student gets a file of settings. Its login opens the topics that begin with
the student's name, and its keys the student's folder of the bucket, nothing else.
CLASS_ADDRESS in .env is the address of this machine in the classroom's network.`,
		Example: "  lakekit class alice bob\n  lakekit class alice bob --days 90 --out out/class",
		Args:    arguments(1, math.MaxInt, "the name of a student, or several"),
		RunE: does(func(cmd *cobra.Command, names []string) error {
			if days < 1 {
				return usage("--days %d: the keys must be good for a day at least", days)
			}
			options.Lifetime = time.Duration(days) * 24 * time.Hour
			for _, name := range names { // before anybody is enrolled
				if err := settings.CheckWorkspace(name); err != nil {
					return usage("%v", err)
				}
			}
			s, err := settings.Load()
			if err != nil {
				return err
			}
			if options.Folder == "" {
				options.Folder = filepath.Join(s.Home, "out", "class")
			}
			return enroll(cmd, s, names, options)
		}),
	}
	c.Flags().IntVar(&days, "days", 30, "days for which the keys are good, 365 at most")
	c.Flags().StringVar(&options.Folder, "out", "", "folder of the files (default out/class)")
	return c
}

func enroll(cmd *cobra.Command, s *settings.Settings, names []string, options class.Options) error {
	group, err := class.Open(cmd.Context(), s, options)
	if err != nil {
		return err
	}
	defer group.Close()
	for _, name := range names {
		student, err := group.Enroll(cmd.Context(), name)
		if err != nil {
			return err
		}
		env, err := filepath.Rel(s.Home, student.Env)
		if err != nil || !filepath.IsLocal(env) {
			env = student.Env
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%-12s %s  (keys until %s)\n", student.Name, env, student.Expires.Format(time.DateOnly))
	}
	fmt.Fprintf(cmd.OutOrStdout(), "\nEach file is the .env of one student, who copies it into the folder of this repository.\nThe students' machines reach Kafka at %s and the object store at %s.\n",
		s.Class.Kafka, s.Class.Endpoint)
	return nil
}
