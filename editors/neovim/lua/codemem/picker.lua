-- Shows the quickfix list in the picker that the user has, if any: each of these lists the quickfix by itself.
local M = {}

local pickers = {
  { name = "telescope", module = "telescope.builtin", show = function(it) it.quickfix() end },
  { name = "fzf-lua", module = "fzf-lua", show = function(it) it.quickfix() end },
  { name = "snacks", module = "snacks", show = function(it) it.picker.qflist() end },
  { name = "mini", module = "mini.extra", show = function(it) it.pickers.list({ scope = "quickfix" }) end },
}

-- "auto": the first that is there; the name of one; or false. Whether it was shown.
function M.show(wanted)
  for _, picker in ipairs(pickers) do
    if wanted == "auto" or wanted == picker.name then
      local there, module = pcall(require, picker.module)
      if there and pcall(picker.show, module) then
        return true
      end
    end
  end
  return false
end

return M
