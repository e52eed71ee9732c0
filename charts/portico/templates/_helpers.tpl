{{/* Labels that never change: what Services and policies select by. */}}
{{- define "portico.selector" -}}
app.kubernetes.io/name: portico-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "portico.labels" -}}
{{ include "portico.selector" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: portico
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end }}

{{- define "portico.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}

{{- define "portico.authServiceImage" -}}
{{ default (printf "portico.dev/auth-service:%s" .Chart.AppVersion) .Values.images.authService }}
{{- end }}
