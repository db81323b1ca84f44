{{/*
Certificates that this chart makes: a CA and what it signs, ten years. The CA's key is kept nowhere. What the cluster
has is taken over. Each is made once a rendering and put into the root's map, because several templates need the same.
*/}}

{{/* data of the Secret tessera-webhook-tls, as YAML */}}
{{- define "tessera.webhookTls" -}}
{{- if not (hasKey . "tesseraWebhookTls") }}
{{- $data := (lookup "v1" "Secret" .Release.Namespace "tessera-webhook-tls").data | default dict }}
{{- if not (and (hasKey $data "ca.crt") (hasKey $data "tls.crt") (hasKey $data "tls.key")) }}
{{- $name := printf "tessera-webhook.%s.svc" .Release.Namespace }}
{{- $ca := genCA "tessera-webhook-ca" 3650 }}
{{- $leaf := genSignedCert $name nil (list $name (printf "%s.cluster.local" $name)) 3650 $ca }}
{{- $data = dict "ca.crt" ($ca.Cert | b64enc) "tls.crt" ($leaf.Cert | b64enc) "tls.key" ($leaf.Key | b64enc) }}
{{- end }}
{{- $_ := set . "tesseraWebhookTls" (pick $data "ca.crt" "tls.crt" "tls.key") }}
{{- end }}
{{- toYaml .tesseraWebhookTls }}
{{- end }}

{{/* data of the Secret tessera-extender-tls, as YAML */}}
{{- define "tessera.extenderTls" -}}
{{- if not (hasKey . "tesseraExtenderTls") }}
{{- $data := pick ((lookup "v1" "Secret" .Release.Namespace "tessera-extender-tls").data | default dict) "ca.crt" "client.crt" "client.key" "tls.crt" "tls.key" }}
{{- if ne (len $data) 5 }}
{{- $ca := genCA "tessera-extender-ca" 3650 }}
{{- $server := genSignedCert "tessera-extender" (list "127.0.0.1") nil 3650 $ca }}
{{- $client := genSignedCert "tessera-scheduler" nil nil 3650 $ca }}
{{- $data = dict "ca.crt" ($ca.Cert | b64enc)
      "client.crt" ($client.Cert | b64enc) "client.key" ($client.Key | b64enc)
      "tls.crt" ($server.Cert | b64enc) "tls.key" ($server.Key | b64enc) }}
{{- end }}
{{- $_ := set . "tesseraExtenderTls" $data }}
{{- end }}
{{- toYaml .tesseraExtenderTls }}
{{- end }}
