{{/* Standard labels. (list $ "webhook") */}}
{{- define "tessera.labels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: tessera-{{ index . 1 }}
app.kubernetes.io/component: {{ index . 1 }}
app.kubernetes.io/part-of: tessera
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Metadata of a component's pods. (list $ "webhook" <more annotations>) */}}
{{- define "tessera.podMetadata" -}}
{{- $values := index (index . 0).Values (index . 1) -}}
{{- with merge (dict) (index . 2) $values.podAnnotations -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{ end -}}
labels:
  {{- /* The selector's labels stay as they are. */}}
  {{- merge (omit (include "tessera.labels" . | fromYaml) "helm.sh/chart") $values.podLabels | toYaml | nindent 2 }}
{{- end }}

{{/* What every pod of ours says about where and as whom it runs. (list $ "webhook") */}}
{{- define "tessera.scheduling" -}}
{{- $root := index . 0 -}}
{{- $values := index $root.Values (index . 1) -}}
serviceAccountName: tessera-{{ index . 1 }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $key := list "priorityClassName" "nodeSelector" "tolerations" "affinity" }}
{{- with index $values $key }}
{{ $key }}: {{ if kindIs "string" . }}{{ . }}{{ else }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{/* (list $ <image block> <default tag>) */}}
{{- define "tessera.image" -}}
{{- $common := (index . 0).Values.image -}}
{{- $image := index . 1 -}}
{{- $image.registry | default $common.registry }}/{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default (index . 2) }}{{ end }}
{{- end }}

{{/* image and imagePullPolicy of a container of ours. (list $ <image block>) */}}
{{- define "tessera.containerImage" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
image: {{ include "tessera.image" (list $root $image ($root.Values.image.tag | default $root.Chart.AppVersion)) }}
{{- with $image.pullPolicy | default $root.Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end }}

{{/* "restricted", as every container but the agent's has it. */}}
{{- define "tessera.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "tessera.webhookSecret" -}}
{{- $certificates := .Values.webhook.certificates -}}
{{- if ne $certificates.mode "secret" -}}
tessera-webhook-tls
{{- else if and $certificates.secretName $certificates.caBundle -}}
{{ $certificates.secretName }}
{{- else -}}
{{- fail "webhook.certificates.mode=secret needs webhook.certificates.secretName and webhook.certificates.caBundle (the PEM of the CA; --set-file)" }}
{{- end }}
{{- end }}

{{- define "tessera.extenderSecret" -}}
{{- if ne .Values.extender.tls.mode "secret" -}}
tessera-extender-tls
{{- else -}}
{{ required "extender.tls.mode=secret needs extender.tls.secretName: a Secret with ca.crt, tls.crt, tls.key, client.crt, client.key" .Values.extender.tls.secretName }}
{{- end }}
{{- end }}
