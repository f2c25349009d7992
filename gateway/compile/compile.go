// Package compile turns the files of a pipeline into what the services know: pipelinev1.Pipeline (design D10).
//
// It reads every file, checks what can only be seen with all of them at hand (names, connections, tables written twice),
// and collects every problem. The result holds whatever is well-formed even when there are errors, so that the other
// services can be asked about it and the user sees all problems of all stages at once; only a result that has not Failed
// may be deployed.
package compile

import (
	"path"
	"slices"
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/configfile"
	"slipstream/gateway/jobfile"
	"slipstream/gateway/yamlfile"
)

const (
	// ConfigFile is the name of the configuration file.
	ConfigFile = "config.yaml"
	// SourceFile is the name of the file that says where the source is, for a ConfigFile that does not, or of another one.
	SourceFile = "source.yaml"
	// JobsFolder is the folder of the job files.
	JobsFolder = "jobs"
)

// Result is what the files say and what is wrong with them.
type Result struct {
	// Pipeline is the compiled pipeline, without generation. Malformed parts are missing.
	Pipeline *pipelinev1.Pipeline
	// Problems are all problems found in the files.
	Problems []*pipelinev1.Problem
	// Captured are the jobs whose source part is well-formed, by name.
	Captured map[string]bool
	// Unmapped are the outputs without a mapping, by job and path: the catalogue decides their columns (spec 5.2).
	Unmapped map[string]map[string]bool

	config *configfile.Config
	source *configfile.SourceFile
	jobs   map[string]*jobfile.Job
}

// IsJobFile says whether a path below the pipeline's directory is a job file (spec 3.1).
func IsJobFile(name string) bool {
	dir, file := path.Split(name)
	ext := path.Ext(file)
	return dir == JobsFolder+"/" && (ext == ".yaml" || ext == ".yml") && !strings.HasPrefix(file, ".")
}

// Files compiles the files of the pipeline called name.
func Files(name string, files []*pipelinev1.File, resolve configfile.Resolve) *Result {
	r := &Result{
		Pipeline: &pipelinev1.Pipeline{Name: name, Connections: make(map[string]*pipelinev1.Connection)},
		Captured: make(map[string]bool),
		Unmapped: make(map[string]map[string]bool),
		jobs:     make(map[string]*jobfile.Job),
	}
	files = slices.SortedFunc(slices.Values(files), func(a, b *pipelinev1.File) int {
		return strings.Compare(a.GetPath(), b.GetPath())
	})
	if i := slices.IndexFunc(files, func(f *pipelinev1.File) bool { return f.GetPath() == SourceFile }); i >= 0 {
		r.source = configfile.ReadSource(SourceFile, files[i].GetText())
	}
	var parsed []*jobfile.Job
	seen := make(map[string]bool)
	for _, f := range files {
		switch {
		case seen[f.GetPath()]:
			r.problem(f.GetPath(), "the file was sent twice", "send it once")
		case f.GetPath() == ConfigFile:
			r.config = configfile.Read(f.GetPath(), f.GetText(), r.source, resolve)
		case f.GetPath() == SourceFile: // read above, before the configuration
		case IsJobFile(f.GetPath()):
			parsed = append(parsed, r.defaults().Read(f.GetPath(), f.GetText()))
		default:
			r.problem(f.GetPath(), "the file is neither config.yaml nor source.yaml nor a job", "name it config.yaml, source.yaml or jobs/<name>.yaml")
		}
		seen[f.GetPath()] = true
	}
	r.takeConfig()
	r.takeJobs(parsed)
	r.tables()
	r.keyspaces()
	r.loops()
	r.gather(parsed)
	return r
}

// defaults are what the configuration says of redis.write. It is read before any job.
func (r *Result) defaults() jobfile.Defaults {
	if r.config == nil {
		return jobfile.Defaults{}
	}
	return jobfile.Defaults{DataType: r.config.DataType, OnUpdate: r.config.OnUpdate}
}

func (r *Result) takeConfig() {
	if r.config == nil {
		r.problem(ConfigFile, "the file is missing", "write config.yaml with connections: and at least the connection source")
		r.Pipeline.Settings = configfile.Defaults()
		return
	}
	r.Pipeline.Settings = r.config.Settings
	r.Pipeline.Connections = r.config.Connections
	r.Pipeline.Files = append(r.Pipeline.Files, &pipelinev1.File{Path: ConfigFile, Text: r.config.Text})
	if r.source != nil {
		r.Pipeline.Files = append(r.Pipeline.Files, &pipelinev1.File{Path: SourceFile, Text: r.source.Text})
	}
}

func (r *Result) takeJobs(parsed []*jobfile.Job) {
	for _, j := range parsed {
		name := j.Spec.GetName()
		if other, twice := r.jobs[name]; twice && name != "" {
			j.File.ErrorAt("name", "give it another name", "the job %s is also defined in %s", name, other.File.Name())
			continue
		}
		r.checkConnections(j)
		r.checkLookups(j)
		r.jobs[name] = j
		r.Pipeline.Jobs = append(r.Pipeline.Jobs, j.Spec)
		r.Pipeline.Files = append(r.Pipeline.Files, &pipelinev1.File{Path: j.File.Name(), Text: j.Text})
		r.Captured[name] = j.SourceOK
		r.Unmapped[name] = j.Unmapped
	}
	slices.SortFunc(r.Pipeline.GetJobs(), func(a, b *pipelinev1.Job) int { return strings.Compare(a.GetName(), b.GetName()) })
	if len(parsed) == 0 {
		r.Problems = append(r.Problems, &pipelinev1.Problem{
			Severity: pipelinev1.Severity_SEVERITY_WARNING, File: JobsFolder, Message: "there is no job, so nothing will be written",
			Fix: "write one: jobs/<name>.yaml",
		})
	}
}

// checkConnections checks that the connections of a job exist and fit the writer (spec 3.7).
func (r *Result) checkConnections(j *jobfile.Job) {
	if r.config == nil {
		return
	}
	for _, c := range j.Connections {
		name, v := c.Name, c.Value
		if name == "" { // and that is said
			continue
		}
		fits := func(kind string) bool { return configfile.Relational(kind) }
		types := configfile.AvailableTargets()
		switch c.Writer {
		case "redis.write":
			fits, types = func(kind string) bool { return kind == configfile.Redis }, []string{configfile.Redis}
		case "cassandra.write":
			fits, types = func(kind string) bool { return kind == configfile.Cassandra }, []string{configfile.Cassandra}
		}
		names := make([]string, 0, len(r.config.Declared))
		for name, kind := range r.config.Declared {
			if kind == "" || fits(kind) {
				names = append(names, name)
			}
		}
		kind, declared := r.config.Declared[name]
		switch {
		case !declared && !v.Written():
			v.Error("add connections: "+name+": with type: redis to config.yaml, or write connection: <name>",
				"redis.write without connection: writes to the connection %s, which is not in config.yaml", name)
		case !declared && len(names) == 0:
			v.Error("add connections: "+name+": to config.yaml", "connection %q is not in config.yaml", name)
		case !declared:
			v.Error(yamlfile.DidYouMean(name, names), "connection %q is not in config.yaml", name)
		case kind != "" && fits(kind) && !configfile.Available(kind):
			v.Error("use a connection of type "+strings.Join(types, " or "),
				"connection %s is of type %s, which is not supported yet by this version", name, kind)
		case kind != "" && !fits(kind):
			v.Error("name a connection of type "+strings.Join(types, " or "),
				"%s cannot write to connection %s of type %s", c.Writer, name, kind)
		}
	}
}

// keyspaces gives connections to Cassandra that name no keyspace the one of the first output to them, jobs by name: that is
// where positions are kept. In RDI such a connection needs none (spec 2.3).
func (r *Result) keyspaces() {
	for _, job := range r.Pipeline.GetJobs() {
		for _, out := range job.GetOutputs() {
			c := r.Pipeline.GetConnections()[out.GetConnection()]
			if out.GetCassandra() != nil && c.GetType() == configfile.Cassandra && c.GetDatabase() == "" {
				c.Database = out.GetRelational().GetSchema()
			}
		}
	}
}

// checkLookups checks that the connections of lookup blocks exist and are of type redis (spec 4.8).
func (r *Result) checkLookups(j *jobfile.Job) {
	if r.config == nil {
		return
	}
	var names []string
	for name, kind := range r.config.Declared {
		if kind == configfile.Redis {
			names = append(names, name)
		}
	}
	for _, v := range j.Lookups {
		name, ok := v.Text()
		kind, declared := r.config.Declared[name]
		switch {
		case !ok:
		case !declared:
			v.Error(yamlfile.DidYouMean(name, names), "connection %q is not in config.yaml", name)
		case kind != "" && kind != configfile.Redis:
			v.Error("name a connection of type redis", "redis.lookup cannot read from connection %s of type %s", name, kind)
		case configfile.Beyond(r.config.Connections[name]) != "":
			v.Error("name a connection with host: and port: of one server",
				"redis.lookup cannot read from connection %s yet in this version: it has %s", name,
				configfile.Beyond(r.config.Connections[name]))
		}
	}
}

// tables warns of two outputs that write one table and identify its rows differently (spec 3.7).
func (r *Result) tables() {
	type writer struct {
		job, path string
		keys      []string
	}
	first := make(map[string]writer)
	for _, job := range r.Pipeline.GetJobs() {
		for _, out := range job.GetOutputs() {
			if out.GetRedis() != nil {
				continue // every output names the parts of its rows the same
			}
			w := out.GetRelational()
			table := strings.ToLower(out.GetConnection() + "\x00" + w.GetSchema() + "\x00" + w.GetTable())
			var keys []string
			for _, c := range w.GetColumns() {
				if c.GetKey() {
					keys = append(keys, strings.ToLower(c.GetColumn()))
				}
			}
			slices.Sort(keys)
			other, written := first[table]
			if !written {
				first[table] = writer{job: job.GetName(), path: out.GetPath(), keys: keys}
				continue
			}
			if !slices.Equal(other.keys, keys) {
				r.jobs[job.GetName()].File.WarnAt(out.GetPath()+".with.keys", "use the same keys",
					"table %s is also written by job %s (%s) with the keys %s", w.GetTable(), other.job, other.path,
					strings.Join(other.keys, ", "))
			}
		}
	}
}

func (r *Result) problem(file, message, fix string) {
	r.Problems = append(r.Problems, &pipelinev1.Problem{
		Severity: pipelinev1.Severity_SEVERITY_ERROR, File: file, Message: message, Fix: fix,
	})
}

func (r *Result) gather(parsed []*jobfile.Job) {
	if r.config != nil {
		r.Problems = append(r.Problems, r.config.File.Problems()...)
	}
	if r.source != nil {
		r.Problems = append(r.Problems, r.source.File.Problems()...)
	}
	for _, j := range parsed {
		r.Problems = append(r.Problems, j.File.Problems()...)
	}
	Sort(r.Problems)
}
