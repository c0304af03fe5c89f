{{- define "vfio-operator.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* Labels of every object; `component` is agent, controller or empty. */}}
{{- define "vfio-operator.labels" -}}
app.kubernetes.io/name: vfio-operator
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* What selects the pods of one program: never changes, since selectors of workloads cannot. */}}
{{- define "vfio-operator.selector" -}}
app.kubernetes.io/name: vfio-operator
app.kubernetes.io/component: {{ . }}
{{- end -}}

{{/* Another way to the API server than the service that kubelet tells of; empty where that serves. */}}
{{- define "vfio-operator.apiServer" -}}
{{- with .Values.apiServer }}
{{- if .host -}}
- name: KUBERNETES_SERVICE_HOST
  value: {{ .host | quote }}
- name: KUBERNETES_SERVICE_PORT
  value: {{ .port | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Who is an agent: the service account, and kubelet's identities where agents run as a host service. */}}
{{- define "vfio-operator.agentSubjects" -}}
- kind: ServiceAccount
  name: vfio-operator-agent
  namespace: {{ .Release.Namespace }}
{{- if .Values.hostAgents.enabled }}
- kind: Group
  apiGroup: rbac.authorization.k8s.io
  name: system:nodes
{{- end }}
{{- end -}}
