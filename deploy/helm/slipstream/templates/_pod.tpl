{{/* slipstream.pod: what the pods of every component have in common. */}}
{{- define "slipstream.pod" -}}
serviceAccountName: {{ include "slipstream.serviceAccount" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext: {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "slipstream.podAnnotations" -}}
{{- $own := dict -}}
{{- with .settings }}{{ $own = .podAnnotations | default dict }}{{ end -}}
{{- with mergeOverwrite (deepCopy .root.Values.podAnnotations) (deepCopy $own) -}}
annotations: {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* slipstream.tlsSecret: the Secret with the certificate of a component, or of prometheus, which is none of ours. */}}
{{- define "slipstream.tlsSecret" -}}
{{- $own := "" -}}
{{- with .settings }}{{ $own = .tlsSecret }}{{ end -}}
{{- if $own -}}
{{ $own }}
{{- else if .root.Values.tls.issuer.name -}}
{{ include "slipstream.name" . }}-tls
{{- else -}}
{{ required "tls.enabled needs certificates: name a Secret in tls.secret (or tlsSecret of each service), or an issuer of cert-manager in tls.issuer.name" .root.Values.tls.secret }}
{{- end -}}
{{- end -}}

{{/* slipstream.metricsTLS: whether metrics are served over TLS. */}}
{{- define "slipstream.metricsTLS" -}}
{{- if .Values.tls.metrics -}}
{{- if not .Values.tls.enabled }}{{ fail "tls.metrics needs tls.enabled: metrics show the certificates of the services" }}{{ end -}}
true
{{- end -}}
{{- end -}}

{{/* slipstream.env.tls: the certificate of a component, in variables. */}}
{{- define "slipstream.env.tls" -}}
{{- $metrics := include "slipstream.metricsTLS" .root -}}
{{- if .root.Values.tls.enabled -}}
- {name: SLIPSTREAM_TLS_CERT, value: /run/tls/tls.crt}
- {name: SLIPSTREAM_TLS_KEY, value: /run/tls/tls.key}
- {name: SLIPSTREAM_TLS_CA, value: /run/tls/ca.crt}
{{- if and $metrics (ne .component "deploy") }}
- {name: SLIPSTREAM_METRICS_TLS, value: "true"}
{{- end }}
{{- end -}}
{{- end -}}

{{/* slipstream.env: the variables of a service. */}}
{{- define "slipstream.env" -}}
{{- $port := include "slipstream.port" . | int -}}
- {name: SLIPSTREAM_LISTEN, value: ":{{ $port }}"}
- {name: SLIPSTREAM_METRICS, value: ":{{ add $port 2000 }}"}
- {name: SLIPSTREAM_GRACE, value: "{{ .settings.graceSeconds }}s"}
- {name: SLIPSTREAM_LOG_LEVEL, value: {{ .root.Values.log.level }}}
- {name: SLIPSTREAM_LOG_FORMAT, value: {{ .root.Values.log.format }}}
{{- if has .component (list "gateway" "capture") }}
- name: SLIPSTREAM_REDIS
  {{- with .root.Values.redis }}
  {{- if .existingSecret }}
  valueFrom:
    secretKeyRef: {name: {{ .existingSecret }}, key: {{ .existingSecretKey }}}
  {{- else }}
  value: {{ required "redis.address says where the pipelines are kept: host:port" .address | quote }}
  {{- end }}
  {{- end }}
- {name: SLIPSTREAM_TRANSFORMER, value: {{ include "slipstream.address" (dict "root" .root "component" "transformer") | quote }}}
{{- end }}
{{- if eq .component "capture" }}
- {name: SLIPSTREAM_LANE_AGE, value: {{ .settings.laneAge }}}
{{- with .root.Values.pipelines }}
- {name: SLIPSTREAM_PIPELINES, value: {{ join "," . | quote }}}
{{- end }}
{{- end }}
{{- if eq .component "gateway" }}
- {name: SLIPSTREAM_HTTP, value: ":7480"}
- {name: SLIPSTREAM_CAPTURE, value: {{ include "slipstream.address" (dict "root" .root "component" "capture") | quote }}}
{{- if .root.Values.access.existingSecret }}
- {name: SLIPSTREAM_ACCESS, value: /run/access/access.yaml}
{{- end }}
{{- end }}
{{- if has .component (list "gateway" "transformer") }}
- {name: SLIPSTREAM_APPLIERS, value: {{ include "slipstream.appliers" .root | required "no applier is enabled: turn on the one of your targets, for example appliers.postgres.enabled" | quote }}}
{{- end }}
{{- if eq .component "applier-sqlite" }}
- {name: SLIPSTREAM_DATA_DIR, value: /data}
{{- end }}
{{- with include "slipstream.env.tls" . }}
{{ . }}
{{- end }}
{{- if and .root.Values.tls.enabled .root.Values.tls.restrictPeers (ne .component "gateway") }}
{{- $root := .root }}
{{- $peers := list }}
{{- range include "slipstream.callers" . | splitList "," }}
{{- $peers = append $peers (include "slipstream.name" (dict "root" $root "component" .)) }}
{{- end }}
- {name: SLIPSTREAM_TLS_PEERS, value: {{ join "," $peers | quote }}}
{{- end }}
{{- if .settings.secrets }}
- {name: SLIPSTREAM_SECRETS_DIR, value: /run/secrets}
{{- end }}
{{- with .root.Values.otlp }}
{{- if .endpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ .endpoint | quote }}}
- {name: OTEL_TRACES_SAMPLER, value: {{ .sampler | quote }}}
{{- with .samplerArg }}
- {name: OTEL_TRACES_SAMPLER_ARG, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- end }}
{{- with .settings.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* slipstream.mounts and slipstream.volumes: the files of a component. */}}
{{- define "slipstream.mounts" -}}
{{- if .root.Values.tls.enabled }}
- {name: tls, mountPath: /run/tls, readOnly: true}
{{- end }}
{{- if and (eq .component "gateway") .root.Values.access.existingSecret }}
- {name: access, mountPath: /run/access, readOnly: true}
{{- end }}
{{- if and (has .component (list "deploy" "monitor")) .root.Values.token.existingSecret }}
- {name: token, mountPath: /run/token, readOnly: true}
{{- end }}
{{- if and .settings .settings.secrets }}
- {name: secrets, mountPath: /run/secrets, readOnly: true}
{{- end }}
{{- if eq .component "applier-sqlite" }}
- {name: data, mountPath: /data}
{{- end }}
{{- end -}}

{{- define "slipstream.volumes" -}}
{{- if .root.Values.tls.enabled }}
- name: tls
  secret: {secretName: {{ include "slipstream.tlsSecret" . }}, defaultMode: 0440}
{{- end }}
{{- with .root.Values.access }}
{{- if and (eq $.component "gateway") .existingSecret }}
- name: access
  secret:
    secretName: {{ .existingSecret }}
    defaultMode: 0440
    items: [{key: {{ .existingSecretKey }}, path: access.yaml}]
{{- end }}
{{- end }}
{{- with .root.Values.token }}
{{- if and (has $.component (list "deploy" "monitor")) .existingSecret }}
- name: token
  secret:
    secretName: {{ .existingSecret }}
    defaultMode: 0440
    items: [{key: {{ .existingSecretKey }}, path: token}]
{{- end }}
{{- end }}
{{- if and .settings .settings.secrets }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range .settings.secrets }}
      - secret: {name: {{ . }}}
      {{- end }}
{{- end }}
{{- if eq .component "applier-sqlite" }}
- name: data
  persistentVolumeClaim: {claimName: {{ .settings.persistence.existingClaim | default (include "slipstream.name" .) }}}
{{- end }}
{{- end -}}

{{/* slipstream.client: the variables of the command line that calls the gateway. */}}
{{- define "slipstream.client" -}}
- {name: SLIPSTREAM_GATEWAY, value: {{ include "slipstream.address" (dict "root" .root "component" "gateway") | quote }}}
{{- with include "slipstream.env.tls" . }}
{{ . }}
{{- end }}
{{- if .root.Values.token.existingSecret }}
- {name: SLIPSTREAM_TOKEN_FILE, value: /run/token/token}
{{- end }}
{{- end -}}
