{{/* What things are called. A component is gateway, capture, transformer, monitor, deploy or applier-<dialect>. */}}

{{- define "slipstream.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains "slipstream" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-slipstream" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* slipstream.name: the name of a component's objects, which is also the name others call it by. */}}
{{- define "slipstream.name" -}}
{{ include "slipstream.fullname" .root }}-{{ .component }}
{{- end -}}

{{- define "slipstream.selector" -}}
app.kubernetes.io/name: slipstream
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "slipstream.labels" -}}
{{ include "slipstream.selector" . }}
app.kubernetes.io/version: {{ include "slipstream.tag" .root | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "slipstream.tag" -}}
{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* slipstream.image: of the binary of a component; that of deploy and monitor is the command line. */}}
{{- define "slipstream.image" -}}
{{- with .root.Values.image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- if has .component (list "deploy" "monitor") -}}slipstream{{- else -}}slipstream-{{ .component }}{{- end -}}
:{{ include "slipstream.tag" .root }}
{{- end -}}

{{- define "slipstream.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "slipstream.fullname" .) }}
{{- end -}}

{{/* slipstream.ports: the ports of every service: of calls, and of /metrics one 2000 above. */}}
{{- define "slipstream.ports" -}}
{gateway: 7400, capture: 7401, transformer: 7402, applier-postgres: 7411, applier-sqlite: 7412, applier-mysql: 7413, applier-sqlserver: 7414, applier-redis: 7416, applier-oracle: 7417, applier-cassandra: 7418}
{{- end -}}

{{- define "slipstream.port" -}}
{{ get (include "slipstream.ports" . | fromYaml) .component | int }}
{{- end -}}

{{/* slipstream.address: where a component is called. */}}
{{- define "slipstream.address" -}}
{{ include "slipstream.name" . }}:{{ include "slipstream.port" . }}
{{- end -}}

{{/* slipstream.appliers: addresses by the type of connection, as --appliers wants them. */}}
{{- define "slipstream.appliers" -}}
{{- $root := . -}}
{{- $all := list -}}
{{- range $dialect, $own := .Values.appliers -}}
{{- if $own.enabled -}}
{{- $type := ternary "postgresql" $dialect (eq $dialect "postgres") -}}
{{- $all = append $all (printf "%s=%s" $type (include "slipstream.address" (dict "root" $root "component" (printf "applier-%s" $dialect)))) -}}
{{- end -}}
{{- end -}}
{{ join "," $all }}
{{- end -}}

{{/* slipstream.components: the services of the release with their settings, as YAML: those of service, then of applier,
     then their own. */}}
{{- define "slipstream.components" -}}
{{- $values := .Values -}}
{{- $all := dict -}}
{{- range $name := list "gateway" "capture" "transformer" -}}
{{- $_ := set $all $name (mergeOverwrite (deepCopy $values.service) (deepCopy (get $values $name))) -}}
{{- end -}}
{{- if $values.monitor.enabled -}}
{{- $_ := set $all "monitor" (mergeOverwrite (deepCopy $values.service) (deepCopy $values.monitor)) -}}
{{- end -}}
{{- range $dialect, $own := $values.appliers -}}
{{- if $own.enabled -}}
{{- $_ := set $all (printf "applier-%s" $dialect) (mergeOverwrite (deepCopy $values.service) (deepCopy $values.applier) (deepCopy $own)) -}}
{{- end -}}
{{- end -}}
{{ toYaml $all }}
{{- end -}}

{{/* slipstream.scaled: whether autoscaling decides how many instances there are. One SQLite file has one. */}}
{{- define "slipstream.scaled" -}}
{{- if and .settings.autoscaling .settings.autoscaling.enabled (ne .component "applier-sqlite") -}}true{{- end -}}
{{- end -}}

{{/* slipstream.callers: the services that call a service, itself among them, which asks for its own health. */}}
{{- define "slipstream.callers" -}}
{{- if eq .component "capture" -}}gateway,capture
{{- else if eq .component "transformer" -}}capture,gateway,transformer
{{- else -}}transformer,gateway,{{ .component }}
{{- end -}}
{{- end -}}
