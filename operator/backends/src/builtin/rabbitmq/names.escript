%% Before a start: makes the registers of quorum queues complete again. Arguments: the folders that hold one each.
%%
%% The node writes the register to disk half a second after a queue was declared. Killed before that, it would take the
%% queue for a new one at its next start, without the messages that it had confirmed, and never serve it. The queue's own
%% folder is written at once and knows its name, so what the register lacks is read from there.
main(Folders) ->
    lists:foreach(fun complete/1, Folders).

complete(Folder) ->
    File = filename:join(Folder, "names.dets"),
    Known = [{filelib:last_modified(Path), Path} || Path <- filelib:wildcard(filename:join([Folder, "*", "config"]))],
    {ok, names} = dets:open_file(names, [{file, File}]),
    %% The youngest first: a queue that was deleted and declared again may have left its old folder.
    lists:foreach(fun({_, Path}) -> register_queue(Folder, file:consult(Path)) end, lists:reverse(lists:sort(Known))),
    ok = dets:close(names).

register_queue(Folder, {ok, [#{id := {Name, _}, uid := UId}]}) ->
    Registered = [Old || {_, Old} <- dets:lookup(names, Name)],
    case lists:any(fun(Old) -> filelib:is_regular(filename:join([Folder, Old, "config"])) end, Registered) of
        true ->
            ok;
        false ->
            io:format(standard_error, "portico: registering ~ts again, which was declared right before the end~n", [Name]),
            ok = dets:insert(names, {Name, UId})
    end;
register_queue(_, _) ->
    %% Not written to its end: the queue was never there for anybody.
    ok.
