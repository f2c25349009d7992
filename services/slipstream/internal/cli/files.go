package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/compile"
)

// readFiles reads config.yaml, source.yaml where there is one, and the jobs of a folder. A missing config.yaml is left for the gateway to report, so that
// it comes with every other problem; a missing folder is an error.
func readFiles(dir string) ([]*pipelinev1.File, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the files: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("reading the files: %s is not a folder", dir)
	}
	names := []string{compile.ConfigFile, compile.SourceFile}
	entries, err := os.ReadDir(filepath.Join(dir, compile.JobsFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the jobs: %w", err)
	}
	for _, e := range entries {
		if name := compile.JobsFolder + "/" + e.Name(); !e.IsDir() && compile.IsJobFile(name) {
			names = append(names, name)
		}
	}
	var files []*pipelinev1.File
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if errors.Is(err, fs.ErrNotExist) && (name == compile.ConfigFile || name == compile.SourceFile) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the files: %w", err)
		}
		files = append(files, &pipelinev1.File{Path: name, Text: text})
	}
	return files, nil
}
