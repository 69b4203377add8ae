{{- define "latchkey.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "latchkey.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "latchkey.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "latchkey.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "latchkey.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* Labels that never change, by which objects select pods. Takes a dict of root and component. */}}
{{- define "latchkey.selectorLabels" -}}
app.kubernetes.io/name: {{ include "latchkey.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "latchkey.labels" -}}
{{ include "latchkey.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "latchkey.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "latchkey.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* Longer than the delay, the grace period and ten seconds to close everything. */}}
{{- define "latchkey.terminationGracePeriod" -}}
{{- add .Values.shutdown.delaySeconds .Values.shutdown.graceSeconds 15 }}
{{- end }}

{{- define "latchkey.allowCleartext" -}}
{{- $words := .Values.allowCleartext }}
{{- if .Values.metrics.enabled }}{{ $words = append $words "metrics" | uniq }}{{ end }}
{{- join "," $words }}
{{- end }}

{{/* Placement of the pods. Takes a dict of root, component and values. */}}
{{- define "latchkey.placement" -}}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
topologySpreadConstraints:
{{- if .values.topologySpreadConstraints }}
{{- toYaml .values.topologySpreadConstraints | nindent 2 }}
{{- else }}
{{- $dict := . }}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "latchkey.selectorLabels" $dict | nindent 8 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Pod metadata. Takes a dict of root, component and values. */}}
{{- define "latchkey.podMetadata" -}}
labels:
  {{- include "latchkey.labels" . | nindent 2 }}
  {{- with .values.podLabels }}{{ toYaml . | nindent 2 }}{{ end }}
annotations:
  # Pods start anew when their configuration changes.
  checksum/config: {{ include (print .root.Template.BasePath "/configmap.yaml") .root | sha256sum }}
  {{- with .values.podAnnotations }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end }}

{{/* Image, environment and mounts that the containers of serve and worker share. Takes the root. */}}
{{- define "latchkey.container" -}}
image: {{ include "latchkey.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
envFrom:
  - configMapRef: { name: {{ include "latchkey.fullname" . }} }
  - secretRef: { name: {{ required "existingSecret is required: the name of the secret with DATABASE_URL, MASTER_KEY and the others" .Values.existingSecret }} }
securityContext:
  {{- include "latchkey.containerSecurityContext" . | nindent 2 }}
volumeMounts:
  - { name: tmp, mountPath: /tmp }
  {{- if .Values.policy }}
  - { name: policy, mountPath: /etc/latchkey/policy, readOnly: true }
  {{- end }}
  {{- if .Values.tls.secretName }}
  - { name: tls, mountPath: /etc/latchkey/tls, readOnly: true }
  {{- end }}
  {{- if .Values.tls.clientCaSecretName }}
  - { name: client-ca, mountPath: /etc/latchkey/client-ca, readOnly: true }
  {{- end }}
  {{- with .Values.extraVolumeMounts }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end }}

{{- define "latchkey.volumes" -}}
- name: tmp
  emptyDir: { sizeLimit: 64Mi }
{{- if .Values.policy }}
- name: policy
  configMap: { name: {{ include "latchkey.fullname" . }}-policy }
{{- end }}
{{- with .Values.tls.secretName }}
- name: tls
  secret: { secretName: {{ . }} }
{{- end }}
{{- with .Values.tls.clientCaSecretName }}
- name: client-ca
  secret: { secretName: {{ . }} }
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
