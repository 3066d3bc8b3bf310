package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"taxilake/lakekit"
	"taxilake/lakekit/broker"
	"taxilake/lakekit/httpd"
	"taxilake/lakekit/oss/ossserver"
	"taxilake/lakekit/server"
	"taxilake/lakekit/services"
	"taxilake/lakekit/settings"
)

func serviceCommands() []*cobra.Command {
	return []*cobra.Command{
		upCommand(), downCommand(), resetCommand(), statusCommand(), doctorCommand(), settingsCommand(),
		role(settings.Broker, "Run the embedded Kafka broker (up starts it for you)", runBroker),
		role(settings.Store, "Run the embedded object store (up starts it for you)", runStore),
		role(settings.Workshop, "Run the workshop server (up starts it for you)", runServer),
	}
}

func upCommand() *cobra.Command {
	return &cobra.Command{
		Use: "up", Short: "Start the broker, the object store and the workshop server", Example: "  lakekit up", Args: noArguments,
		RunE: does(func(cmd *cobra.Command, _ []string) error {
			s, err := settings.Load()
			if err != nil {
				return err
			}
			if err := services.Up(cmd.Context(), s, reporter(cmd)); err != nil {
				return err
			}
			if s, err = settings.Load(); err != nil {
				return err
			}
			printAddresses(cmd, s)
			return nil
		}),
	}
}

func reporter(cmd *cobra.Command) func(string) {
	return func(line string) { fmt.Fprintln(cmd.OutOrStdout(), line) }
}

// printAddresses shows the one address with the token in it, to the terminal of
// the person whose token it is.
func printAddresses(cmd *cobra.Command, s *settings.Settings) {
	fmt.Fprintf(cmd.OutOrStdout(), "\nKafka          %s\nobject store   %s\nweb page       %s/?token=%s\n",
		s.Kafka.Servers(), s.OSS.Endpoint, s.Server.URL, s.Server.Token.Reveal())
}

func downCommand() *cobra.Command {
	return &cobra.Command{
		Use: "down", Short: "Stop the services; their data stays", Example: "  lakekit down", Args: noArguments,
		RunE: does(func(cmd *cobra.Command, _ []string) error {
			s, err := settings.Load()
			if err != nil {
				return err
			}
			return services.Down(cmd.Context(), s, reporter(cmd))
		}),
	}
}

func statusCommand() *cobra.Command {
	return withJSON(&cobra.Command{
		Use: "status", Short: "Tell what runs, and where", Example: "  lakekit status\n  lakekit status --json", Args: noArguments,
		RunE: does(func(cmd *cobra.Command, _ []string) error {
			s, err := settings.Load()
			if err != nil {
				return err
			}
			list := lakekit.Services(services.Statuses(s))
			if err := show(cmd, list); err != nil || asJSON(cmd) {
				return err
			}
			if !list.Healthy() {
				fmt.Fprintln(cmd.OutOrStdout(), "\n"+whatStarts(s))
				return errTold
			}
			printAddresses(cmd, s)
			return showActivity(cmd)
		}),
	})
}

// whatStarts says how to start what does not run.
func whatStarts(s *settings.Settings) string {
	switch s.Profile {
	case settings.Docker:
		return "`make docker-up` starts Kafka and MinIO, `lakekit up` the server; `lakekit doctor` says what keeps them from answering."
	case settings.Cloud:
		return "`lakekit up` starts the server; `lakekit doctor` says what keeps the others from answering."
	}
	return "`lakekit up` starts what is not running."
}

// showActivity adds what goes on in the server.
func showActivity(cmd *cobra.Command) error {
	lab, err := lakekit.ConnectContext(cmd.Context())
	if err != nil {
		return err
	}
	streams, err := lab.Streams()
	if err != nil {
		return err
	}
	runs, err := lab.TrafficRuns()
	if err != nil {
		return err
	}
	if len(streams) > 0 {
		fmt.Fprintln(cmd.OutOrStdout())
		err = show(cmd, streams)
	}
	if len(runs) > 0 {
		fmt.Fprintln(cmd.OutOrStdout())
		err = errors.Join(err, show(cmd, runs))
	}
	return err
}

func doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Try every part and say what to do about the first that fails", Example: "  lakekit doctor", Args: noArguments,
		RunE: does(func(cmd *cobra.Command, _ []string) error {
			s, err := settings.Load()
			if err != nil {
				return err
			}
			checks := lakekit.Doctor(s)
			if err := show(cmd, checks); err != nil || checks.OK() {
				return err
			}
			return errTold
		}),
	}
}

func settingsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "settings [NAME]", Short: "Show the settings that hold, from the environment, .env and the profile",
		Example: "  lakekit settings\n  lakekit settings LAKEKIT_PROFILE", Args: arguments(0, 1, "one name"),
		RunE: does(func(cmd *cobra.Command, args []string) error {
			s, err := settings.Load()
			if err != nil {
				return err
			}
			for _, setting := range s.List() {
				switch {
				case len(args) == 0:
					fmt.Fprintf(cmd.OutOrStdout(), "%s=%s\n", setting.Name, setting.Value)
				case setting.Name == args[0]:
					fmt.Fprintln(cmd.OutOrStdout(), setting.Value)
					return nil
				}
			}
			if len(args) > 0 {
				return usage("there is no setting %s; `lakekit settings` lists all", args[0])
			}
			return nil
		}),
	}
}

func resetCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "reset", Short: "Delete topic, table, checkpoint and dead letters together, to begin anew",
		Example: "  lakekit reset\n  lakekit reset --yes", Args: noArguments,
		RunE: does(func(cmd *cobra.Command, _ []string) error { return reset(cmd, yes) }),
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// reset needs the services; those that it starts it stops again.
func reset(cmd *cobra.Command, yes bool) error {
	s, err := settings.Load()
	if err != nil {
		return err
	}
	if !lakekit.Services(services.Statuses(s)).Healthy() {
		if err := services.Up(cmd.Context(), s, reporter(cmd)); err != nil {
			return err
		}
		defer services.Down(context.WithoutCancel(cmd.Context()), s, reporter(cmd))
	}
	lab, err := lakekit.ConnectContext(cmd.Context())
	if err != nil {
		return err
	}
	plan, err := lab.PlanReset()
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), "This stops traffic and streams and deletes:")
	if err := show(cmd, plan); err != nil {
		return err
	}
	if !yes && !confirmed(cmd, "Delete all this? [y/N] ") {
		return errors.New("nothing was deleted")
	}
	if _, err := lab.WithContext(context.WithoutCancel(cmd.Context())).Reset(); err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), "Deleted. Lesson 02 begins anew.")
	return nil
}

func confirmed(cmd *cobra.Command, question string) bool {
	fmt.Fprint(cmd.OutOrStdout(), question)
	answer, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}

// service is a role's work until ctx ends. It calls ready with its address.
type service func(ctx context.Context, s *settings.Settings, claim *services.Claimed, log *slog.Logger) error

func role(r settings.Role, short string, serve service) *cobra.Command {
	return &cobra.Command{
		Use: string(r), Short: short, Example: "  lakekit " + string(r), Args: noArguments,
		RunE: does(func(cmd *cobra.Command, _ []string) error {
			s, err := settings.Load()
			if err != nil {
				return err
			}
			if err := settings.CreateSecrets(s.State); err != nil {
				return err
			}
			claim, err := services.Claim(s.State, r)
			if err != nil {
				return err
			}
			defer claim.Release()
			if s, err = settings.Load(); err != nil {
				return err
			}
			log := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("service", string(r))
			log.Info("starting", "pid", os.Getpid())
			if err := serve(cmd.Context(), s, claim, log); err != nil {
				log.Error("ended", "error", err)
				return err
			}
			log.Info("ended")
			return nil
		}),
	}
}

func runBroker(ctx context.Context, s *settings.Settings, claim *services.Claimed, _ *slog.Logger) error {
	var ready error
	var err error
	for _, port := range claim.Ports() {
		err = broker.Run(ctx, broker.Options{
			Dir: filepath.Join(s.State, "kafka"), Port: port,
			Ready: func(address string) { ready = claim.Ready(address) },
		})
		if !errors.Is(err, broker.ErrPortTaken) {
			break
		}
	}
	return errors.Join(err, ready)
}

func runStore(ctx context.Context, s *settings.Settings, claim *services.Claimed, log *slog.Logger) error {
	if err := os.MkdirAll(filepath.Join(s.OSS.LocalDir, s.OSS.Bucket), 0o700); err != nil {
		return fmt.Errorf("making the bucket: %w", err)
	}
	handler, err := ossserver.New(ossserver.Options{
		Dir: s.OSS.LocalDir, AccessKeyID: s.OSS.AccessKeyID, AccessKeySecret: s.OSS.Secret.Reveal(), Region: s.OSS.Region, Logger: log,
	})
	if err != nil {
		return err
	}
	listener, err := claim.Listen("127.0.0.1")
	if err != nil {
		return err
	}
	// What is being put or copied when the store is to end is put to its end.
	requests := context.WithoutCancel(ctx)
	return serveHTTP(ctx, requests, claim, listener, handler, func(context.Context) error { return nil })
}

func runServer(ctx context.Context, s *settings.Settings, claim *services.Claimed, log *slog.Logger) error {
	listener, err := claim.Listen(s.Listen)
	if err != nil {
		return err
	}
	s.Server.URL = "http://" + services.Reachable(listener.Addr().String())
	workshop, err := server.Open(ctx, s, log)
	if err != nil {
		return err
	}
	return serveHTTP(ctx, ctx, claim, listener, workshop.Handler(), workshop.Close)
}

// drainTime bounds what a service does after it was asked to end.
const drainTime = 20 * time.Second

// serveHTTP serves until ctx ends, then lets requests end and calls closing. The
// contexts of requests end with that of requests.
func serveHTTP(ctx, requests context.Context, claim *services.Claimed, listener net.Listener, handler http.Handler, closing func(context.Context) error) error {
	web := httpd.Server(requests, handler)
	served := make(chan error, 1)
	go func() { served <- web.Serve(httpd.Limit(web, listener)) }()
	if err := claim.Ready(listener.Addr().String()); err != nil {
		return err
	}
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	return errors.Join(err, closing(drain), web.Shutdown(drain))
}
