-- :Codemem ask|find|related|explain|reindex|status
if vim.g.loaded_codemem then
  return
end
vim.g.loaded_codemem = true

local verbs = { "ask", "find", "related", "explain", "reindex", "status" }

vim.api.nvim_create_user_command("Codemem", function(call)
  local verb = table.remove(call.fargs, 1)
  require("codemem").run(verb, table.concat(call.fargs, " "), call)
end, {
  nargs = "+",
  range = true,
  desc = "Ask the repository's memory",
  complete = function(lead, line)
    if line:match("^%S+%s+%S*$") or line:match("^'<,'>%S+%s+%S*$") then
      return vim.tbl_filter(function(verb)
        return vim.startswith(verb, lead)
      end, verbs)
    end
    return {}
  end,
})
