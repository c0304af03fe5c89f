-- Health of a VfioPolicy for Argo CD: what kstatus says of its status, in Argo CD's words. Without it a policy is Healthy as soon as
-- it exists. Laid out as in Argo CD's resource_customizations; argocd-cm-patch.yaml carries the same text.
local health = { status = "Progressing", message = "the controller has not looked at it yet" }
local status = obj.status
if obj.metadata.deletionTimestamp ~= nil then
  health.message = "being deleted; its devices are given back by the agents"
  return health
end
if status == nil or status.observedGeneration == nil or status.conditions == nil then
  return health
end
if status.observedGeneration ~= obj.metadata.generation then
  health.message = "the status speaks of an older generation"
  return health
end
local verdicts = {}
for _, condition in ipairs(status.conditions) do
  verdicts[condition.type] = condition
end
local stalled, ready = verdicts["Stalled"], verdicts["Ready"]
if stalled ~= nil and stalled.status == "True" then
  health.status = "Degraded"
  health.message = stalled.reason .. ": " .. stalled.message
elseif ready ~= nil then
  if ready.status == "True" then
    health.status = "Healthy"
  end
  health.message = ready.reason .. ": " .. ready.message
end
return health
