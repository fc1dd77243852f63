package portmaster

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"time"

	"safing/portmaster/api"
	"safing/portmaster/verdict"
)

// filesInterval is how often profiles, settings and executables are looked at.
const filesInterval = time.Second

// watchFiles reads profiles and settings again when they change, and binds
// programs that were replaced, until ctx ends.
func (d *Daemon) watchFiles(ctx context.Context) {
	before := d.fingerprint()
	for {
		select {
		case <-d.rebind:
		case <-ctx.Done():
			return
		case <-time.After(filesInterval):
		}
		if now := d.fingerprint(); now != before {
			before = now
			for _, p := range d.Reload(ctx).Problems {
				d.log.Warn("reload", "problem", p)
			}
			continue
		}
		if err := d.apps.bind(); err != nil {
			d.log.Error("bind programs to their profiles", "error", err)
		}
	}
}

// fingerprint changes whenever a file of the user's does.
func (d *Daemon) fingerprint() uint64 {
	files, _ := filepath.Glob(filepath.Join(d.state.file("profiles"), "*.toml")) // the pattern is ours
	h := fnv.New64a()
	for _, f := range append(files, d.state.file(settingsFile)) {
		if info, err := os.Stat(f); err == nil {
			fmt.Fprintln(h, f, info.Size(), info.ModTime().UnixNano())
		}
	}
	return h.Sum64()
}

// Reload reads profiles and settings again. What is wrong is among the
// problems, and what was before stays in force for it.
func (d *Daemon) Reload(context.Context) api.Reload {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	var errs []error
	gone, err := d.apps.load()
	errs = append(errs, err, d.reloadSettings())
	errs = append(errs, d.applyRules())
	for _, app := range gone {
		d.names.forgetApp(app)
		errs = append(errs, d.guard.RemovePolicy(app))
	}
	profiles := d.apps.profiles()
	d.log.Info("profiles and settings were read", "profiles", len(profiles))
	return api.Reload{Profiles: len(profiles), Problems: problems(errors.Join(errs...))}
}

// reloadSettings takes over what can change while the daemon runs.
func (d *Daemon) reloadSettings() error {
	s, err := LoadSettings(d.state.path)
	if err == nil {
		_, err = s.parsedRules(d.state.file(settingsFile))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settingsProblem = err
	if err != nil {
		return err
	}
	restart := s.needsRestart(d.settings)
	d.settings.Default, d.settings.Rules = s.Default, s.Rules
	if restart != "" {
		d.settingsProblem = fmt.Errorf("%s: the new %s holds after a restart of Portmaster", d.state.file(settingsFile), restart)
	}
	return d.settingsProblem
}

// applyRules has engine and kernel follow profiles, settings and lists. The
// caller holds reloading.
func (d *Daemon) applyRules() error {
	config, err := d.engineConfig()
	if err != nil {
		return err
	}
	errs := []error{verdict.Check(config)} // of what the kernel refuses
	d.engine.Swap(config)
	errs = append(errs, writePolicies(d.guard, d.engine, d.apps.numbers()))
	d.names.recompile()
	return errors.Join(append(errs, d.apps.bind())...)
}

// listChanged puts a list's new entries in force.
func (d *Daemon) listChanged() {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	if err := d.applyRules(); err != nil {
		d.log.Error("put a list in force", "error", err)
	}
}

// problems are the lines of joined errors.
func problems(err error) []string {
	if err == nil {
		return []string{}
	}
	return strings.Split(err.Error(), "\n")
}
